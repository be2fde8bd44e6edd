/** Options that every command on a project understands, with the words of `docker compose`. */
export interface ProjectFlags {
  file?: string[];
  projectName?: string;
  projectDirectory?: string;
  env?: string;
  profile?: string[];
  json?: boolean;
}

/** The exit code that a command without an error ends with. */
export interface Outcome {
  code: number;
}
