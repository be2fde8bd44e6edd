import { readFileSync } from 'node:fs';
import { openDocker } from '../../docker/api.ts';
import type { Begin } from './journal.ts';
import { openRestoreJournal, swapIn } from './swap-in.ts';

/**
 * `swap-in.fixture.ts FILE KIND`: a restore's last part as a process of its own, killed right after the journal's entry of that kind, as by
 * kill -9.
 */
const [file = '', kind = ''] = process.argv.slice(2);
const { begin, services, project, stateFolder } = JSON.parse(readFileSync(file, 'utf8')) as {
  begin: Begin;
  services: string[];
  project: Parameters<typeof swapIn>[0]['project'];
  stateFolder: string;
};
const world = { docker: openDocker(), stateFolder, project, report: () => {}, signal: new AbortController().signal };
const journal = await openRestoreJournal(world, (entry) => {
  if (entry.kind === kind) process.kill(process.pid, 'SIGKILL');
});
await journal.append(begin);
await swapIn(world, journal, begin, { services, servers: [] }, async () => {});
