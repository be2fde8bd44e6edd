import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../kit/spawn.ts';
import { RELAY } from './save.ts';

test('a relay that starts after its writer was killed ends at once, and refuses', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'composure-relay-'));
  try {
    const pipe = join(folder, 'pipe');
    await run('mkfifo', [pipe]);
    const [program = '', ...args] = [...RELAY, pipe, join(folder, 'whole')];
    expect(await run(program, args, { timeoutMs: 5000 })).toMatchObject({ code: 1, stdout: '' });
    await writeFile(join(folder, 'whole'), '');
    expect(await run(program, args, { timeoutMs: 5000 })).toMatchObject({ code: 0, stdout: '' });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
