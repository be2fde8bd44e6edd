import type { Framework } from '../../model.ts';
import { openBullmq } from './bullmq.ts';
import { openCelery } from './celery.ts';
import type { OpenLayout } from './model.ts';
import { openRq } from './rq.ts';
import { openSidekiq } from './sidekiq.ts';

export const LAYOUTS: Record<Framework, OpenLayout> = { celery: openCelery, bullmq: openBullmq, rq: openRq, sidekiq: openSidekiq };
