import { cp, lstat, mkdir, readdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/kit/spawn.ts';
import { type Entry, scenarioLabels } from './registry.ts';

const ROOT = fileURLToPath(new URL('../../artifacts/', import.meta.url));

/** Keeps what explains a failed scenario, before it is cleaned up, and returns the folder: containers, logs, files, state, the edge's figures. */
export async function collectArtifacts(entry: Entry, error: unknown): Promise<string> {
  const folder = join(ROOT, entry.name);
  await mkdir(folder, { recursive: true });
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  await writeFile(join(folder, 'error.txt'), `${text}\n`);
  const ids = new Set<string>();
  let table = '';
  for (const label of scenarioLabels(entry)) {
    const filter = ['--filter', `label=${label}`];
    table += `# ${label}\n${(await run('docker', ['ps', '-a', ...filter])).stdout}\n`;
    for (const id of (await run('docker', ['ps', '-a', '-q', ...filter])).stdout.split('\n')) if (id) ids.add(id);
  }
  await writeFile(join(folder, 'docker-ps.txt'), table);
  for (const id of ids) {
    const name = (await run('docker', ['inspect', '--format', '{{.Name}}', id])).stdout.trim().slice(1) || id;
    const logs = await run('docker', ['logs', '--timestamps', '--tail', '2000', id]);
    await writeFile(join(folder, `${name}.log`), logs.stdout + logs.stderr);
    await writeFile(join(folder, `${name}.json`), (await run('docker', ['inspect', id])).stdout);
  }
  const isPlain = async (path: string) => {
    const kind = await lstat(path);
    return kind.isFile() || kind.isDirectory();
  };
  await cp(entry.folder, join(folder, 'project'), { recursive: true, filter: isPlain });
  await cp(entry.state, join(folder, 'state'), { recursive: true, filter: isPlain }).catch(() => {});
  for (const socket of await sockets(entry.state))
    await writeFile(join(folder, `${basename(socket)}.stat.csv`), await ask(socket, 'show stat'));
  return folder;
}

async function sockets(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isSocket()).map((entry) => join(entry.parentPath, entry.name));
}

function ask(socketPath: string, command: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(socketPath, () => socket.write(`${command}\n`));
    const done = () => {
      socket.destroy();
      resolve(answer);
    };
    socket.setEncoding('utf8');
    socket.setTimeout(1000, done);
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.on('close', done);
    socket.on('error', (error) => {
      answer += `${error.message}\n`;
      done();
    });
  });
}
