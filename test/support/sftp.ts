import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/kit/spawn.ts';
import { eventually } from './eventually.ts';
import { freePort, releasePort } from './ports.ts';
import { PREFIX } from './registry.ts';

export interface Sftp {
  /** For restic: "sftp://keeper@127.0.0.1:PORT//store/repository". */
  repository: string;
  /** A home whose .ssh has the key and knows the server. */
  home: string;
  /** A folder with an `ssh` that reads that home's settings; for the front of a PATH, because ssh itself asks passwd where its home is. */
  bin: string;
  stop(): Promise<void>;
}

/** OpenSSH's server in a container on a loopback port, with one user who may only transfer files and comes in by a key made for it. */
export async function startSftp(): Promise<Sftp> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), `${PREFIX}sftp-`));
  const name = `${PREFIX}sftp-${port}`;
  const [ssh, bin, keys] = [join(folder, 'home/.ssh'), join(folder, 'bin'), join(folder, 'keys')];
  await Promise.all([mkdir(ssh, { recursive: true, mode: 0o700 }), mkdir(bin), mkdir(keys)]);
  await keygen(join(ssh, 'id_ed25519'));
  await keygen(join(folder, 'host'));
  await writeFile(join(keys, 'backup.pub'), await readFile(join(ssh, 'id_ed25519.pub')));
  await writeFile(join(ssh, 'known_hosts'), `[127.0.0.1]:${port} ${await readFile(join(folder, 'host.pub'), 'utf8')}`);
  await writeFile(
    join(bin, 'ssh'),
    `#!/bin/sh\nexec /usr/bin/ssh -F none -o UserKnownHostsFile=${ssh}/known_hosts -o IdentitiesOnly=yes -i ${ssh}/id_ed25519 "$@"\n`,
  );
  await chmod(join(bin, 'ssh'), 0o755);
  const made = await run('docker', [
    'run',
    '-d',
    '--name',
    name,
    '--label',
    `${PREFIX}pid=${process.pid}`,
    '-p',
    `127.0.0.1:${port}:22`,
    '-v',
    `${keys}:/home/keeper/.ssh/keys:ro`,
    '-v',
    `${join(folder, 'host')}:/etc/ssh/ssh_host_ed25519_key:ro`,
    'atmoz/sftp:alpine',
    'keeper::1001:1001:store',
  ]);
  if (made.code !== 0) throw new Error(made.stderr);
  const batch = join(folder, 'batch');
  await writeFile(batch, 'ls\n');
  await eventually(async () => {
    const tried = await run('sftp', ['-S', join(bin, 'ssh'), '-P', String(port), '-b', batch, 'keeper@127.0.0.1']);
    if (tried.code !== 0) throw new Error(tried.stderr);
  });
  return {
    repository: `sftp://keeper@127.0.0.1:${port}//store/repository`,
    home: join(folder, 'home'),
    bin,
    stop: async () => {
      await run('docker', ['rm', '-fv', name]);
      releasePort(port);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function keygen(file: string): Promise<void> {
  const made = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'for tests only', '-f', file]);
  if (made.code !== 0) throw new Error(made.stderr);
}
