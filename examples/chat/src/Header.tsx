import { Avatar } from "./Avatar";

type Props = {
  visitor: string | null;
  /** What the model is, where it is not the real thing. */
  modelLabel: string | null;
};

export function Header({ visitor, modelLabel }: Props) {
  return (
    <header className="header">
      <h1>
        <img src="./eddy.svg" alt="" width="30" height="30" />
        Eddy
      </h1>
      {modelLabel !== null && (
        <p className="model-label" data-testid="model-label" title="Answers do not come from a language model">
          <span className="model-label-lead">@gpt: </span>
          {modelLabel}
        </p>
      )}
      <p className="visitor">
        {visitor !== null && (
          <>
            <span className="visitor-lead">You are</span>
            <Avatar name={visitor} />
            <strong data-testid="own-name">{visitor}</strong>
          </>
        )}
      </p>
    </header>
  );
}
