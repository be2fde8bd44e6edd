import { type ContainerInfo, openDocker } from '../../src/docker/api.ts';
import { COMPOSE } from '../../src/docker/labels.ts';
import type { ScenarioProject } from '../../test/support/scenario.ts';
import { type Queues, watchStarts } from './queues.ts';
import { BURST, type Warmth } from './tiers.ts';

/** A queue that nobody scales: what is measured on it is what the engine and the worker itself need. */
const QUEUE = 'floor';

/**
 * The least that a job can wait for, by hand on the Engine API with twins of the project's own containers, which are nobody's: thaw one that is
 * frozen, start one that has ended, or create and start one; then the worker's own boot, until the first line of a job that waits already.
 */
export async function openFloor(project: ScenarioProject, queues: Queues) {
  const docker = openDocker();
  const worker = await specOf('frozen', [`QUEUE=${QUEUE}`]);
  const small = await specOf('burst', []);
  let made = 0;

  async function specOf(service: string, environment: string[]): Promise<object> {
    const [container] = await project.containers(service);
    const info = (await project.inspect(container?.Id ?? '')) as ContainerInfo & { HostConfig: object };
    const kept = (info.Config.Env ?? []).filter((line) => !environment.some((own) => line.startsWith(`${own.split('=')[0]}=`)));
    return {
      ...info.Config,
      Hostname: '',
      Env: [...kept, ...environment],
      Labels: { [COMPOSE.workingDir]: project.folder, 'composure.bench': `${project.name}-${service}` },
      HostConfig: { ...info.HostConfig, RestartPolicy: { Name: 'no' } },
      NetworkingConfig: { EndpointsConfig: { [`${project.name}_default`]: {} } },
    };
  }

  async function create(spec: object): Promise<string> {
    made += 1;
    return (await docker.createContainer(`${project.name}-floor-${made}`, spec)).Id;
  }

  const end = async (id: string): Promise<void> => {
    await docker.stopContainer(id, 2);
  };
  const stopped = await create(worker);
  const frozen = await create(worker);
  await docker.startContainer(frozen);
  await queues.began((await queues.put(QUEUE)).job);
  await docker.pauseContainer(frozen);

  return {
    /** ms from the call to the job's first line. Of a frozen worker only the thaw: it holds the connection that the job comes by. */
    async run(warm: Warmth): Promise<number> {
      if (warm === 'frozen') {
        const at = performance.now();
        await docker.unpauseContainer(frozen);
        const taken = performance.now() - at;
        await docker.pauseContainer(frozen);
        return taken;
      }
      // Asleep, so that it takes nothing while others are started.
      const { job } = await queues.put(QUEUE);
      const at = Date.now();
      const id = warm === 'stopped' ? stopped : await create(worker);
      await docker.startContainer(id);
      const began = await queues.began(job);
      await end(id);
      if (warm === 'none') await docker.removeContainer(id, { force: true });
      return began - at;
    },

    /** That many at once, created and started in parallel, until the engine tells of the last start; ms. */
    async burst(): Promise<number> {
      const watch = await watchStarts([`composure.bench=${project.name}-burst`], BURST);
      const at = Date.now();
      const ids = await Promise.all(
        Array.from({ length: BURST }, async () => {
          const id = await create(small);
          await docker.startContainer(id);
          return id;
        }),
      );
      const last = await watch;
      await Promise.all(ids.map((id) => docker.removeContainer(id, { force: true })));
      return last - at;
    },

    async close(): Promise<void> {
      await Promise.allSettled([stopped, frozen].map((id) => docker.removeContainer(id, { force: true })));
    },
  };
}
