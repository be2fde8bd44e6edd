import { EngineError } from '../../docker/api.ts';
import { runHooks } from '../../rollout/containers.ts';
import { type Crew, freeNumber, noteReady } from '../crew.ts';
import { createSpec, nameOf, type Template } from '../template.ts';
import { become, type Hands, refuseIfHeld, setState } from './hands.ts';

const NAME_TRIES = 5;

export async function start(hands: Hands, crew: Crew, id: string): Promise<void> {
  await refuseIfHeld(hands, crew);
  await startNow(hands, crew, id);
}

async function startNow(hands: Hands, crew: Crew, id: string, replaces?: string): Promise<void> {
  const files = crew.template?.files;
  if (files !== undefined && crew.containers.get(id)?.state === 'created')
    await hands.docker.putArchive(id, '/', Buffer.from(files, 'base64'));
  const deaths = hands.deaths.get(id) ?? 0;
  crew.booting.set(id, hands.now());
  await hands.docker.startContainer(id);
  if ((hands.deaths.get(id) ?? 0) !== deaths) {
    become(hands, crew, id, { phase: 'stopped' }, replaces);
    return;
  }
  setState(crew, id, 'running');
  const tells = crew.template?.hasHealthcheck === true;
  // With a framework its source names the worker once it is ready; without either, running is all there is to know.
  if (!tells && crew.tier.framework === undefined) noteReady(crew, id, hands.now());
  become(hands, crew, id, { phase: tells ? 'starting' : 'running' }, replaces);
  if (crew.hooks.postStart.length > 0) {
    await runHooks(hands.docker, await hands.docker.inspectContainer(id), crew.hooks.postStart, 'post_start', hands.report);
  }
}

export async function create(hands: Hands, crew: Crew, placeholder: string, wanted: number): Promise<void> {
  await refuseIfHeld(hands, crew);
  const template = crew.template ?? (await hands.prepareTemplate(crew));
  for (let tries = 1; ; tries++) {
    const reserved = new Set([...hands.making].filter((name) => name.startsWith(template.prefix)).map((name) => numberIn(name, template)));
    const number = freeNumber(crew, reserved, wanted);
    const name = nameOf(template, number);
    hands.making.add(name);
    try {
      const { Id } = await hands.docker.createContainer(name, createSpec(template, number, template.useImage));
      crew.containers.set(Id, {
        id: Id,
        name,
        number,
        configHash: template.configHash,
        imageId: template.imageId,
        state: 'created',
        health: 'none',
        created: hands.now() / 1000,
        addresses: {},
      });
      // From here on it has two names.
      const acting = crew.acting.get(placeholder);
      if (acting !== undefined) crew.acting.set(Id, acting);
      try {
        await startNow(hands, crew, Id, placeholder);
      } catch (error) {
        // It has never run: nothing is lost with it.
        await hands.docker.removeContainer(Id).catch(() => {});
        crew.containers.delete(Id);
        crew.workers.delete(Id);
        throw error;
      } finally {
        crew.acting.delete(Id);
      }
      return;
    } catch (error) {
      if (!(error instanceof EngineError && error.status === 409 && /name .* in use/i.test(error.message)) || tries >= NAME_TRIES)
        throw error;
      await hands.relist(crew);
      // A name that no container of the service has is some stranger's, or one that is just being removed.
      if (freeNumber(crew, reserved, number) === number) wanted = number + 1;
    } finally {
      hands.making.delete(name);
    }
  }
}

const numberIn = (name: string, template: Template): number => Number(name.slice(template.prefix.length));
