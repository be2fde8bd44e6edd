import { EngineError } from '../docker/api.ts';
import { checkDocker } from '../docker/compose.ts';
import { Failure } from '../kit/errors.ts';
import { storageFailure } from '../kit/files.ts';

/** What a person can do about an error that has no code of its own yet; undefined when it is a bug of ours. */
export async function explainThrown(thrown: unknown, env: NodeJS.ProcessEnv): Promise<Failure | undefined> {
  if (!(thrown instanceof Error)) return undefined;
  if (thrown.name === 'AbortError') {
    return new Failure('INTERRUPTED', 'interrupted', { next: 'composure status shows what runs; composure recover ends what was begun' });
  }
  if (thrown instanceof EngineError) return (await toolAtFault(env)) ?? refusedByEngine(thrown);
  const { code, path } = thrown as NodeJS.ErrnoException;
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return new Failure('DOCKER_UNREACHABLE', 'the Docker engine went away while it was asked', {
      details: [thrown.message],
      next: 'check that it runs (docker info), then run the command again: it goes on from where this one ended',
      cause: thrown,
    });
  }
  const storage = path === undefined ? undefined : storageFailure(thrown, path);
  return storage instanceof Failure ? storage : undefined;
}

/** An engine that is too old for us refuses with words about versions of its API; then its age is what has to be said. */
async function toolAtFault(env: NodeJS.ProcessEnv): Promise<Failure | undefined> {
  try {
    await checkDocker(definedOnly(env));
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

function refusedByEngine(error: EngineError): Failure {
  if (/no space left on device/i.test(error.message)) {
    return new Failure('DISK_FULL', 'the disk is full: the Docker engine could not write', {
      details: [error.message],
      next: 'free some space (docker system df shows what Docker holds), then run the command again',
      cause: error,
    });
  }
  return new Failure('COMMAND_FAILED', `the Docker engine refused: ${error.message}`, {
    next: 'composure status shows what runs; after putting right what Docker complains about, run the command again',
    cause: error,
  });
}

export const definedOnly = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
