/**
 * Every failure that a person can act on, with the exit code the command ends with.
 * docs/reference/errors.md has one heading per code; a test holds the two together.
 */
export const EXIT_CODES = {
  USAGE: 2,
  PROJECT_NOT_FOUND: 3,
  PROJECT_INVALID: 3,
  CONFIG_INVALID: 3,
  VARIABLE_UNSET: 3,
  NETWORK_CHANGED: 3,
  SERVICE_UNKNOWN: 3,
  NOTHING_TO_ROLL_BACK: 3,
  RELEASE_UNKNOWN: 3,
  SECRETS_INVALID: 3,
  SECRET_UNKNOWN: 3,
  IDENTITY_MISSING: 4,
  IDENTITY_REFUSED: 4,
  DOCKER_MISSING: 4,
  DOCKER_UNREACHABLE: 4,
  DOCKER_TOO_OLD: 4,
  COMPOSE_MISSING: 4,
  STATE_UNWRITABLE: 4,
  DISK_FULL: 4,
  SIMULATION_INVALID: 3,
  COMMAND_FAILED: 4,
  SYSTEMD_MISSING: 4,
  ROOT_NEEDED: 4,
  AGENT_FAILED: 4,
  AGENT_MISSING: 4,
  IMAGE_UNAVAILABLE: 5,
  BUILD_FAILED: 5,
  RELEASE_JOB_FAILED: 5,
  RELEASE_FAILED: 5,
  UNHEALTHY_BEFORE: 5,
  LOCKED: 6,
  AGENT_INSTALLED: 6,
  RECOVERY_FAILED: 7,
  PORT_IN_USE: 8,
  HOST_CLAIMED: 8,
  EDGE_FAILED: 8,
  EDGE_NOT_RUNNING: 8,
  CERTIFICATE_FAILED: 8,
  TRIGGER_FAILED: 8,
  BACKUP_NOT_SET_UP: 3,
  RESTIC_MISSING: 4,
  BACKUP_FAILED: 5,
  REPOSITORY_MISSING: 4,
  REPOSITORY_LOCKED: 6,
  REPOSITORY_PASSWORD: 4,
  REPOSITORY_FAILED: 4,
  REPOSITORY_DAMAGED: 5,
  RETENTION_REFUSED: 3,
  SET_UNKNOWN: 3,
  STORE_UNKNOWN: 3,
  RESTORE_REFUSED: 3,
  RESTORE_FAILED: 5,
  DRILL_FAILED: 5,
  DRILL_IMPOSSIBLE: 4,
  CONFIRMATION_NEEDED: 9,
  DECLINED: 9,
  INTERRUPTED: 130,
} as const;

export type ErrorCode = keyof typeof EXIT_CODES;

export interface FailureParts {
  /** file:line:column, a service, a container: what the message is about. */
  where?: string;
  /** The next thing to do, as an instruction or a command. */
  next?: string;
  /** Evidence: last log lines, health output, the tool's own words. One line each. */
  details?: string[];
  cause?: unknown;
}

/** A failure that a person can act on. Anything else that is thrown is a bug and shows its stack. */
export class Failure extends Error {
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly next: string | undefined;
  readonly details: string[];

  constructor(code: ErrorCode, message: string, parts: FailureParts = {}) {
    super(message, parts.cause === undefined ? {} : { cause: parts.cause });
    this.name = 'Failure';
    this.code = code;
    this.where = parts.where;
    this.next = parts.next;
    this.details = parts.details ?? [];
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}

/** What went wrong and what to do about it as one line, for a log. */
export function inOneLine(error: unknown): string {
  if (!(error instanceof Failure)) return error instanceof Error ? error.message : String(error);
  const place = error.where === undefined || error.message.includes(error.where) ? '' : ` (at ${error.where})`;
  const said = [`${error.message}${place}`, ...error.details].join('; ');
  return error.next === undefined ? said : `${said}; next: ${error.next}`;
}
