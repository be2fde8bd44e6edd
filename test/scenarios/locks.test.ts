import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type RunningCommand, withProject } from '../support/scenario.ts';
import {
  ask,
  deploy,
  endsWell,
  expectUpChangesNothing,
  replicas,
  running,
  SHORT_MIX,
  serving,
  site,
  stack,
  succeeds,
} from '../support/stacks.ts';

const says = (command: RunningCommand, text: string) =>
  eventually(() => expect(command.output().err).toContain(text), { timeoutMs: 20_000, everyMs: 20 });

test('of two deploys at once the second refuses and names the holder, and waits when told to', async () => {
  await withProject('two deploys', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }, { deploy: replicas(1) }) });
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2, BOOT_DELAY_MS: 5000 }, { deploy: replicas(1) }) }));
    const first = p.spawnComposure(['deploy', '--yes']);
    await says(first, 'ready');
    const refused = await p.composure(['deploy', '--yes']);
    expect(refused.code, refused.err).toBe(6);
    expect(refused.err).toContain(String(first.process.pid));
    expect(refused.err).toMatch(/deploy.* since /);
    const status = JSON.parse(succeeds(await p.composure(['status', '--json'])).out);
    expect(status.busy).toContain(String(first.process.pid));
    const waited = succeeds(await p.composure(['deploy', '--yes', '--wait', '60s']));
    expect(waited.err).toContain('waiting for');
    expect(waited.out).toContain('nothing to do');
    expect((await first.done).code).toBe(0);
    expect((await ask(p)).version).toBe('2');
  });
});

test('a deploy killed before its switch is taken back by the next deploy, which takes over the dead process’s lock', async () => {
  await withProject('stale lock', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const load = await p.load({ mix: SHORT_MIX });
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2, BOOT_DELAY_MS: 3000 }) }));
    const killed = p.spawnComposure(['deploy', '--yes']);
    await says(killed, 'ready');
    killed.kill('SIGKILL');
    expect((await killed.done).signal).toBe('SIGKILL');
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 3 }) }));
    const next = await deploy(p);
    expect(next.err).toContain('taking it back');
    expect((await ask(p)).version).toBe('3');
    expect(await running(p, 'web')).toHaveLength(2);
    const report = await endsWell(load);
    expect(report.versions['2']).toBeUndefined();
    await expectUpChangesNothing(p);
  });
});

test('a deploy killed in the middle, then docker compose up by hand, then recover: the edge serves what runs', async () => {
  await withProject('killed then by hand', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2 }, { deploy: replicas(2, { monitor: '60s' }) }) }));
    const killed = p.spawnComposure(['deploy', '--yes']);
    await says(killed, 'watch for');
    killed.kill('SIGKILL');
    await killed.done;
    succeeds(await p.compose(['up', '-d']));
    const byHand = await running(p, 'web');
    expect(byHand).toHaveLength(2);
    expect(JSON.parse(succeeds(await p.composure(['status', '--json'])).out).unfinished).toBe(2);
    const recovered = succeeds(await p.composure(['recover']));
    expect(recovered.out).toMatch(/what runs now stays|taken back|finished/);
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(p)));
    const version = answers[0]?.version;
    expect(answers.map((answer) => [answer.status, answer.version])).toEqual(answers.map(() => [200, version]));
    expect(succeeds(await p.composure(['recover'])).out).toContain('nothing');
    const again = await deploy(p);
    expect((await ask(p)).version).toBe('2');
    expect(again.code).toBe(0);
    await expectUpChangesNothing(p);
  });
});

test('Ctrl-C in the middle of a deploy takes it back', async () => {
  await withProject('interrupted', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    const before = await serving(p);
    const load = await p.load({ mix: SHORT_MIX });
    await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2, BOOT_DELAY_MS: 10_000 }) }));
    const command = p.spawnComposure(['deploy', '--yes']);
    await says(command, 'ready');
    command.kill('SIGINT');
    const { code, err } = await command.done;
    expect(code, err).toBe(130);
    expect(err).toContain('taken back');
    expect(await serving(p)).toEqual(before);
    expect(await p.containers()).toHaveLength(2);
    expect(Object.keys((await endsWell(load)).versions)).toEqual(['1']);
    expect(JSON.parse(succeeds(await p.composure(['status', '--json'])).out).unfinished).toBeUndefined();
  });
});
