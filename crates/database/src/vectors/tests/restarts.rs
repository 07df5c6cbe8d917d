//! Files that are there, damaged, too old or of another history: answers are exact all the same.

use std::fs;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

fn filled(directory: &Path) -> (World, IndexId) {
    let world = World::new(Some(directory));
    let index = world.declare(false);
    world.settle();
    world.enable(index);
    for n in 0..200 {
        world.insert(nth(n), if n % 3 == 0 { Value::from("a") } else { Value::Float64(f64::from(n % 4)) });
        if n % 40 == 0 {
            world.settle();
        }
    }
    world.clock.advance(1_000_000_000);
    world.settle();
    (world, index)
}

fn files(directory: &Path, index: IndexId) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory.join(index.0.to_string()))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Whether the index of a database that was just opened comes from its files.
fn is_loaded(world: &World) -> bool {
    world.database.step_maintenance().unwrap();
    world.database.shared().vectors.loaded.load(std::sync::atomic::Ordering::Relaxed) > 0
}

#[test]
fn a_restart_loads_the_files_and_takes_the_rest_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (world, index) = filled(folder.path());
    assert!(files(folder.path(), index).len() > 1);
    let late = world.insert(floats(&[1.0, 0.01, 0.0]), Value::from("a"));
    while world.database.step_commit() {}
    let world = world.crash(Some(folder.path()));
    world.check();
    let query = json!({"indexName": "t.i", "vector": [1.0, 0.01, 0.0], "limit": 1, "expressions": null});
    assert_eq!(world.search(query).unwrap(), [(late, 1.0)]);
    world.settle();
    world.check();
}

#[test]
fn a_commit_that_was_lost_in_a_crash_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _) = filled(folder.path());
    world.insert(floats(&[1.0, 0.0, 0.0]), Value::from("a"));
    world.check();
    let world = world.crash(Some(folder.path()));
    world.check();
    let query = json!({"indexName": "t.i", "vector": [1.0, 0.0, 0.0], "limit": 1, "expressions": null});
    assert!(world.search(query).unwrap()[0].1 < 1.0);
}

#[test]
fn damaged_missing_and_foreign_files_are_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, index) = filled(folder.path());
    for round in 0..6 {
        let files = files(folder.path(), index);
        let segment = files.iter().find(|path| path.extension().is_some()).unwrap();
        let manifest = folder.path().join(index.0.to_string()).join("manifest");
        let damage = |path: &Path, at: usize| {
            let mut bytes = fs::read(path).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        };
        match round {
            0 => damage(segment, 1000),
            1 => damage(&manifest, 100),
            2 => fs::remove_file(segment).unwrap(),
            3 => fs::remove_file(&manifest).unwrap(),
            4 => fs::write(segment, b"").unwrap(),
            _ => fs::write(&manifest, b"\xff\xfe").unwrap(),
        }
        world = world.crash(Some(folder.path()));
        assert!(!is_loaded(&world), "round {round}");
        world.check();
        world.clock.advance(1_000_000_000);
        world.settle();
        world.check();
        world = world.crash(Some(folder.path()));
        assert!(is_loaded(&world), "round {round}: the files are good again");
        world.check();
    }
}

#[test]
fn files_newer_than_a_restored_database_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _) = filled(folder.path());
    let backup = Arc::new(world.store.after_crash());
    for n in 0..30 {
        world.insert(floats(&[1.0, f64::from(n) / 100.0, 0.0]), Value::from("a"));
    }
    world.clock.advance(1_000_000_000);
    world.settle();
    let clock = Arc::clone(&world.clock);
    drop(world);
    let world = World::open(backup, clock, Some(folder.path()));
    assert!(!is_loaded(&world));
    world.check();
}

#[test]
fn an_index_that_lacks_forgotten_commits_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _) = filled(folder.path());
    let world = world.crash(None);
    let ids: Vec<DocumentId> = (0..20).map(|n| world.insert(nth(500 + n), Value::from("a"))).collect();
    world.delete(ids[3]);
    while world.database.step_commit() {}
    world.store.trim_log(Timestamp::MAX, 100_000).unwrap();
    let world = world.crash(Some(folder.path()));
    world.check();
    world.settle();
    world.check();
}

/// A database whose index claims to know of changes that it does not know.
fn deceived(folder: &Path, change: impl FnOnce(&World)) -> World {
    let (world, index) = filled(folder);
    let world = world.crash(None);
    change(&world);
    while world.database.step_commit() {}
    let path = folder.join(index.0.to_string()).join("manifest");
    let text = fs::read_to_string(&path).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    manifest["covered"] = json!(world.database.durable_ts().0);
    let line = manifest.to_string();
    fs::write(&path, format!("{:08x}\n{line}\n", crc32fast::hash(line.as_bytes()))).unwrap();
    world.crash(Some(folder))
}

#[test]
fn an_index_that_does_not_fit_its_documents_is_noticed_and_built_again() {
    let groups = [Value::from("a"), Value::Float64(2.0)];
    let change: [fn(&World, DocumentId); 3] = [
        |world, id| world.delete(id),
        |world, id| world.patch(id, "v", floats(&[-1.0, 0.0, 0.0])),
        |world, id| world.patch(id, "group", Value::from("b")),
    ];
    for change in change {
        let folder = tempfile::tempdir().unwrap();
        let world = deceived(folder.path(), |world| {
            let nearest = world.exact(&[1.0, 0.0, 0.0], 1, Some(&groups))[0].0;
            change(world, nearest);
        });
        assert!(is_loaded(&world));
        world.check();
        world.settle();
        world.check();
    }
}

#[test]
fn of_a_wrong_index_nothing_is_told_before_it_has_been_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut nearest = Vec::new();
    let world = deceived(folder.path(), |world| {
        nearest = world.exact(&[1.0, 0.0, 0.0], 3, None);
        world.delete(nearest[0].0);
        world.patch(nearest[1].0, "v", floats(&[-1.0, 0.0, 0.0]));
    });
    let query = json!({"indexName": "t.i", "vector": [1.0, 0.0, 0.0], "limit": 1, "expressions": null});
    // Neither what is gone nor what is somewhere else now is told, and it is not too little.
    assert_eq!(world.search(query).unwrap(), [nearest[2]]);
}

#[test]
fn a_build_goes_on_after_a_crash_where_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(Some(folder.path()));
    for n in 0..1500 {
        world.insert(nth(n), Value::from("a"));
    }
    while world.database.step_commit() {}
    let index = world.declare(false);
    let mut lives = 0;
    loop {
        for _ in 0..3 {
            world.clock.advance(100_000_000);
            world.database.step_commit();
            world.database.step_maintenance().unwrap();
        }
        if world.state(index) == Some(IndexState::Backfilled) {
            break;
        }
        world.insert(nth(5000 + lives), Value::from("b"));
        while world.database.step_commit() {}
        world = world.crash(Some(folder.path()));
        lives += 1;
        assert!(lives < 50, "every life has to get further");
    }
    world.enable(index);
    world.check();
}

#[test]
fn answers_are_exact_through_random_lives() {
    let seeds: Vec<u64> = match std::env::var("FRESHET_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..25).collect(),
    };
    for seed in seeds {
        println!("FRESHET_SEED={seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().unwrap();
        let directory = random.random_bool(0.8).then_some(folder.path());
        let mut world = World::new(directory);
        let mut ids: Vec<DocumentId> = Vec::new();
        let mut index = world.declare(false);
        world.settle();
        world.enable(index);
        world.settle();
        for _ in 0..300 {
            world.clock.advance(random.random_range(0..20_000_000));
            let one = (!ids.is_empty()).then(|| random.random_range(0..ids.len()));
            match (random.random_range(0..100), one) {
                (0..45, _) => {
                    let vector =
                        if random.random_bool(0.9) { nth(random.random_range(0..300)) } else { Value::Null };
                    ids.push(world.insert(vector, Value::Float64(f64::from(random.random_range(0..4)))));
                }
                (45..55, Some(one)) => world.patch(ids[one], "v", nth(random.random_range(0..300))),
                (55..60, Some(one)) => world.patch(ids[one], "group", Value::from("a")),
                (60..70, Some(one)) => world.delete(ids.swap_remove(one)),
                (70..80, _) => drop(world.database.step_commit()),
                (80..92, _) => drop(world.database.step_maintenance().unwrap()),
                (92..95, _) => world.settle(),
                (95..97, _) => {
                    while world.database.step_commit() {}
                    world = world.crash(directory);
                }
                (97, _) => {
                    world.drop_index(index);
                    index = world.declare(false);
                    world.settle();
                    world.enable(index);
                }
                _ => world.check(),
            }
        }
        world.check();
    }
}
