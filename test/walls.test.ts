import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const rooms = [
  'kit',
  'state',
  'secrets',
  'triggers',
  'docker',
  'project',
  'edge',
  'rollout',
  'autoscale',
  'backup',
  'capacity',
  'agent',
  'cli',
];

/** The rules that `biome lint` with our configuration finds broken, by file, in a tree of these files. */
async function brokenRules(files: Record<string, string>): Promise<Map<string, string[]>> {
  const tree = await mkdtemp(join(tmpdir(), 'composure-walls-'));
  try {
    const config = JSON.parse(await readFile('biome.json', 'utf8'));
    await writeFile(join(tree, 'biome.json'), JSON.stringify({ ...config, vcs: { enabled: false } }));
    for (const [path, source] of Object.entries(files)) {
      await mkdir(dirname(join(tree, path)), { recursive: true });
      await writeFile(join(tree, path), source);
    }
    const args = ['lint', '--reporter=github', '--max-diagnostics=none', '--colors=off', 'src'];
    const output = await new Promise<string>((done) => {
      execFile(resolve('node_modules/.bin/biome'), args, { cwd: tree, maxBuffer: 2 ** 24 }, (_error, stdout) => done(stdout));
    });
    const found = new Map<string, string[]>();
    for (const [, rule, path] of output.matchAll(/title=(lint\/[\w/]+),file=([^,]+)/g)) {
      const name = path?.slice(path.indexOf('src/')) ?? '';
      if (rule) found.set(name, [...(found.get(name) ?? []), rule]);
    }
    return found;
  } finally {
    await rm(tree, { recursive: true });
  }
}

/** The linter is a program of its own, which gets little of a busy machine. */
const LINTER_MS = 60_000;

test(
  'a room may import the rooms below it and none above it, not even a type',
  async () => {
    const files: Record<string, string> = {};
    for (const from of rooms) {
      for (const to of rooms) {
        if (from !== to) files[`src/${from}/to-${to}.ts`] = `import type { Thing } from '../${to}/model.ts';\nexport type Probe = Thing;\n`;
      }
    }
    const broken = await brokenRules(files);
    const refused = [...broken].filter(([, rules]) => rules.includes('lint/style/noRestrictedImports')).map(([path]) => path);
    const upward = rooms.flatMap((from, height) => rooms.slice(height + 1).map((to) => `src/${from}/to-${to}.ts`));
    expect(refused.sort()).toEqual(upward.sort());
  },
  LINTER_MS,
);

test(
  'only src/kit/spawn.ts starts processes; cycles and files that only re-export are refused',
  async () => {
    const start = "import { spawn } from 'node:child_process';\nexport const start = spawn;\n";
    const broken = await brokenRules({
      'src/kit/spawn.ts': start,
      'src/kit/other.ts': start,
      'src/cli/commands/other.ts': start,
      'src/edge/one.ts': "import { two } from './two.ts';\nexport const one = () => two;\n",
      'src/edge/two.ts': "import { one } from './one.ts';\nexport const two = () => one;\n",
      'src/state/index.ts': "export * from './lock.ts';\n",
    });
    expect(broken.get('src/kit/spawn.ts')).toBeUndefined();
    expect(broken.get('src/kit/other.ts')).toContain('lint/style/noRestrictedImports');
    expect(broken.get('src/cli/commands/other.ts')).toContain('lint/style/noRestrictedImports');
    expect(broken.get('src/edge/one.ts')).toContain('lint/suspicious/noImportCycles');
    expect(broken.get('src/state/index.ts')).toContain('lint/performance/noReExportAll');
  },
  LINTER_MS,
);
