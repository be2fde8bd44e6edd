/** A test process that dies in the middle of a scenario: started and killed by scenario.engine.test.ts. */
import { buildTestApp } from './app.ts';
import { withProject } from './scenario.ts';

const image = await buildTestApp();
await withProject('support abandoned', { files: { 'compose.yaml': `services: {web: {image: ${image}}}` } }, async (p) => {
  await p.compose(['up', '-d']);
  process.send?.(p.name);
  await new Promise((resolve) => setTimeout(resolve, 60_000));
});
