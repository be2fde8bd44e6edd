import { readWishes } from '../../state/wishes.ts';
import type { Tier } from '../model.ts';
import { tell } from './deciding.ts';
import type { Post, Site } from './model.ts';

/** Tells what people asked of a tier with autoscale pause and scale, where that differs from what was told before. */
export async function followWishes(site: Site, { crew, told }: Post): Promise<void> {
  const wishes = await readWishes(site.stateFolder, crew.tier.project);
  const wish = wishes.pause[crew.tier.service];
  const pause: Tier['pause'] = wish
    ? {
        paused: wish.paused,
        ...(wish.pausedReplicas === undefined ? {} : { pausedReplicas: wish.pausedReplicas }),
        pausedScaleIn: wish.pausedScaleIn,
        pausedScaleOut: wish.pausedScaleOut,
      }
    : crew.tier.pause;
  const text = JSON.stringify(pause);
  if (text !== told.pause) {
    told.pause = text;
    tell(site, { kind: 'paused', tier: crew.tier.id, pause: { ...pause } });
  }
  const manual = wishes.scale[crew.tier.service]?.replicas;
  if (manual !== told.manual) {
    told.manual = manual;
    tell(site, { kind: 'manual', tier: crew.tier.id, ...(manual === undefined ? {} : { replicas: manual }) });
  }
}
