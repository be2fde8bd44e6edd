import { expect, test } from 'vitest';
import type { ContainerSummary } from '../../docker/api.ts';
import { COMPOSE } from '../../docker/labels.ts';
import { describeServices } from './status.ts';

const container = (service: string, State: ContainerSummary['State'], Status = 'Up 2 minutes'): ContainerSummary => ({
  Id: `${service}-${State}`,
  Names: [`/shop-${service}-1`],
  Image: `${service}:1`,
  ImageID: 'sha256:1',
  State,
  Status,
  Created: 0,
  Labels: { [COMPOSE.service]: service, [COMPOSE.oneoff]: 'False' },
});
const released = (replicas: number, autoscale?: { min: number; max?: number; settings: string }) => ({
  light: { replicas, image: 'light:1', ...(autoscale ? { autoscale } : {}) },
});
const scaled = { min: 0, max: 8, settings: 'x' };

test.each([
  ['as many as released', released(1), [container('light', 'running')], { running: 1, wanted: 1, health: 'running' }],
  ['fewer', released(2), [container('light', 'running')], { running: 1, wanted: 2, health: 'running' }],
  ['paused by hand', released(1), [container('light', 'paused')], { running: 0, frozen: 0, wanted: 1, health: 'paused' }],
  ['gone', released(1), [], { running: 0, wanted: 1, health: 'down' }],
  [
    'scaled: what runs is what is wanted',
    released(1, scaled),
    [container('light', 'running', 'Up 1 minute (healthy)'), container('light', 'paused', 'Up 1 minute (Paused)')],
    { running: 1, frozen: 1, wanted: 2, scaled: { min: 0, max: 8 }, health: '1 frozen, 1 healthy' },
  ],
  ['scaled to nothing', released(3, scaled), [], { running: 0, wanted: 0, health: 'idle' }],
  ['nothing where there has to be one', released(1, { min: 1, settings: 'x' }), [], { scaled: { min: 1 }, health: 'down' }],
])('%s', (_title, services, containers, expected) => {
  expect(describeServices(containers, services, [], [])).toEqual([expect.objectContaining({ service: 'light', ...expected })]);
});
