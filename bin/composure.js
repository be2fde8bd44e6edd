#!/usr/bin/env node
import { existsSync } from 'node:fs';
// By its default export: an older Node has no enableCompileCache, and is to read what it is told below.
import module from 'node:module';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`composure needs Node.js 22.18 or newer; this is ${process.versions.node}`);
  process.exit(4);
}
module.enableCompileCache();
// A checkout runs its sources; the published package has only what was built from them.
const source = new URL('../src/cli/start.ts', import.meta.url);
await import(existsSync(source) ? source.href : new URL('../dist/cli/start.js', import.meta.url).href);
