/** What long work tells whoever watches: terminal, plain text, --json and dashboard render the same events. */
export type ProgressEvent =
  | { kind: 'step-start'; step: string; text: string }
  /** How far a step is, about once a second: `text` is for people ("1.2 GB of 4.0 GB"). */
  | { kind: 'step-progress'; step: string; text: string }
  | { kind: 'step-done'; step: string; text: string; ms: number }
  | { kind: 'step-failed'; step: string; text: string; ms: number }
  | { kind: 'note'; text: string }
  | { kind: 'warning'; text: string }
  /** One line of a tool's or container's own output. */
  | { kind: 'output'; source: string; text: string };

export type Report = (event: ProgressEvent) => void;
