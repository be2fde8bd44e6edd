import { findInstallation, type Host, thisHost } from '../../../agent/installation/observe.ts';
import { engineSocket, openDocker } from '../../../docker/api.ts';
import { Failure } from '../../../kit/errors.ts';
import { run } from '../../../kit/spawn.ts';
import { readAgentStatus } from '../../../state/agent.ts';
import { agentName, stateFolder } from '../../../state/folder.ts';
import type { Outcome } from '../../flags.ts';
import type { Io } from '../../io.ts';

interface LogsFlags {
  json?: boolean;
  follow?: boolean;
  tail?: string;
  since?: string;
}

/** What keeps the agent's output is who is asked: the journal, or Docker; of one that was started by hand what it wrote down itself. */
export async function agentLogsCommand(io: Io, flags: LogsFlags, outcome: Outcome, host: Host = thisHost()): Promise<void> {
  const state = stateFolder(io.env);
  const name = agentName(state);
  const found = await findInstallation(openDocker(engineSocket(io.env)), state, host);
  const print = (text: string, stream = 'stdout'): void => {
    if (flags.json) io.stdout(`${JSON.stringify({ stream, text })}\n`);
    else (stream === 'stdout' ? io.stdout : io.stderr)(`${text}\n`);
  };
  if (found.unit?.ours || found.container) {
    const [program, args] = found.unit?.ours ? journalctl(name, flags) : dockerLogs(name, flags);
    const { code } = await run(program, args, {
      onLine: (text, stream) => print(text, stream),
      ...(io.signal ? { signal: io.signal } : {}),
    });
    outcome.code = code === 0 ? 0 : 4;
    return;
  }
  const written = await readAgentStatus(state);
  if (!written) throw new Failure('AGENT_MISSING', 'no agent has run on this host', { next: 'composure agent install brings one' });
  const tail = flags.tail === undefined || flags.tail === 'all' ? written.status.messages.length : Number(flags.tail);
  for (const { at, kind, text } of written.status.messages.slice(-tail || written.status.messages.length))
    print(`${at.slice(0, 19).replace('T', ' ')} ${kind === 'warning' ? 'warning: ' : ''}${text}`);
}

const journalctl = (name: string, { follow, tail, since }: LogsFlags): [string, string[]] => [
  'journalctl',
  [
    '--unit',
    `${name}.service`,
    '--no-pager',
    '--lines',
    tail ?? '200',
    ...(follow ? ['--follow'] : []),
    ...(since ? ['--since', /^\d/.test(since) && !/[-:]/.test(since) ? `-${since}` : since] : []),
  ],
];

const dockerLogs = (name: string, { follow, tail, since }: LogsFlags): [string, string[]] => [
  'docker',
  ['logs', '--timestamps', '--tail', tail ?? '200', ...(follow ? ['--follow'] : []), ...(since ? ['--since', since] : []), name],
];
