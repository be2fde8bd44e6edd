import { expect, test } from 'vitest';
import { eventually } from '../../../test/support/eventually.ts';
import { type ScenarioProject, withProject } from '../../../test/support/scenario.ts';
import type { ContainerInfo } from '../../docker/api.ts';
import { OURS } from '../../docker/labels.ts';
import { agentName } from '../../state/folder.ts';

const status = async (p: ScenarioProject) => JSON.parse((await p.composure(['agent', 'status', '--json'])).out);
const failure = async (p: ScenarioProject, ...args: string[]) => {
  const { code, out } = await p.composure([...args, '--json']);
  return { exit: code, ...JSON.parse(out).error };
};
const inspect = async (p: ScenarioProject, name: string): Promise<ContainerInfo & { HostConfig: Record<string, unknown> }> =>
  JSON.parse((await p.docker(['inspect', name])).stdout)[0];

test('the agent as a container: installed, killed, back, removed without a trace', { timeout: 400_000 }, async () => {
  await withProject('agent container', { files: { 'compose.yaml': 'services: {web: {image: busybox:1}}\n' } }, async (p) => {
    const name = agentName(p.state);
    expect((await p.composure(['agent', 'status'])).out).toBe('no agent on this host: composure agent install brings one\n');
    expect(await failure(p, 'agent', 'uninstall', '--yes')).toMatchObject({ exit: 4, code: 'AGENT_MISSING' });
    expect(await failure(p, 'agent', 'logs')).toMatchObject({ exit: 4, code: 'AGENT_MISSING' });

    const dry = await p.composure(['agent', 'install', '--container', '--dry-run']);
    expect(dry.out).toContain(`create and start ${name}`);
    expect(dry.out).toContain('"ReadonlyRootfs": true');
    expect((await p.docker(['ps', '-a', '-q', '--filter', `label=${OURS.agent}=${name}`])).stdout).toBe('');

    const installed = await p.composure(['agent', 'install', '--container']);
    expect(installed.code, installed.err).toBe(0);
    expect(installed.out).toBe(`the agent runs as container ${name}\n`);
    const first = await status(p);
    expect(first).toMatchObject({ running: true, installed: 'container', form: 'container', projects: [], scaled: [] });
    expect(first.rssBytes / 2 ** 20).toBeGreaterThan(20);
    const { HostConfig, Config } = await inspect(p, name);
    expect(HostConfig).toMatchObject({
      NetworkMode: 'host',
      PidMode: 'host',
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      CapAdd: null,
      SecurityOpt: expect.arrayContaining(['no-new-privileges']),
      RestartPolicy: { Name: 'unless-stopped' },
    });
    const image = Config.Image;

    // One agent a host, however the second one is started.
    const second = p.spawnComposure(['agent', 'run', '--json']);
    const ended = await second.done;
    expect([ended.code, JSON.parse(ended.out).error]).toEqual([
      6,
      expect.objectContaining({ code: 'LOCKED', message: expect.stringContaining(`(pid ${first.pid})`) }),
    ]);
    expect((await p.composure(['agent', 'install', '--container'])).out).toBe('the agent is installed and runs; nothing to do\n');
    // A living agent thaws for itself.
    expect((await p.composure(['agent', 'thaw'])).out).toBe(`the agent (pid ${first.pid}) runs and thaws what is needed\n`);

    process.kill(first.pid, 'SIGKILL');
    const back = await eventually(
      async () => {
        const now = await status(p);
        expect(now.running && now.pid !== first.pid).toBe(true);
        return now;
      },
      { timeoutMs: 30_000 },
    );
    expect(back.form).toBe('container');
    const logs = await p.composure(['agent', 'logs']);
    expect(logs.code).toBe(0);
    expect((logs.out + logs.err).match(/the agent scales services/g)).toHaveLength(2);

    // What is not as it would be installed is made again: here the whole of it, because it is gone.
    await p.docker(['stop', name]);
    expect((await p.composure(['agent', 'status'])).out).toMatch(/^the agent is installed and does not run: container \S+ is exited\n/);
    expect((await p.composure(['agent', 'install', '--container'])).code).toBe(0);
    expect(await status(p)).toMatchObject({ running: true, form: 'container' });

    const removed = await p.composure(['agent', 'uninstall', '--yes']);
    expect(removed.out).toContain(`the agent is removed: container ${name}, ${image}\n`);
    expect((await p.docker(['ps', '-a', '-q', '--filter', `label=${OURS.agent}=${name}`])).stdout).toBe('');
    expect((await p.docker(['image', 'inspect', image])).code).not.toBe(0);
    expect(await status(p)).toMatchObject({ running: false });
    expect((await p.composure(['agent', 'status'])).out).toMatch(/^no agent on this host.*\nthe last one was seen at 20/);
  });
});
