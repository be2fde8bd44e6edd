// Runs while the image is built: what is imported here is compiled into the image's compile cache and found there at every start.
import { flushCompileCache } from 'node:module';

for (const module of ['bullmq', 'ioredis', 'pg', 'ws', './routes.ts', './queues.ts', './database.ts', './jobs.ts', './misbehave.ts'])
  await import(module);
flushCompileCache();
