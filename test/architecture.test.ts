/**
 * The repository keeps its shape: arrows point down, the protocol packages know no platform, adapters stay thin, nothing names a machine.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importsOf } from './imports.ts';
import { layers, type NamedPackage, suiteFolder, upwardImports } from './layers.ts';
import { filesBelow, packages, read, root } from './repository.ts';

const named: readonly NamedPackage[] = packages.map(({ folder, manifest }) => ({
  folder,
  name: manifest.name,
  dependencies: Object.keys(manifest.dependencies ?? {}),
}));

describe('imports', () => {
  it('has a layer for every package and a package for every layer', () => {
    expect(named.map(({ folder }) => folder).sort()).toEqual(Object.keys(layers).sort());
  });

  for (const { folder } of named) {
    it(`${folder} points down only`, () => {
      const sources = filesBelow(`${folder}/src`).filter((file) => file.endsWith('.ts'));
      expect(sources.length).toBeGreaterThan(0);
      expect(sources.flatMap((file) => upwardImports(file, read(file), named))).toEqual([]);
    });
  }

  it('declares only dependencies that point down, and none in core', () => {
    for (const { folder, dependencies } of named) {
      const inside = named.filter(({ name }) => dependencies.includes(name)).map((target) => target.folder);
      for (const target of inside) expect(layers[folder]?.below, `${folder} depends on ${target}`).toContain(target);
    }
    expect(named.find(({ folder }) => folder === 'packages/core')?.dependencies).toEqual([]);
  });
});

describe('what is published', () => {
  for (const { folder, manifest } of packages) {
    if (manifest.private === true) continue;
    it(`${folder} leaves its test programs out`, () => {
      const suites = new Set(filesBelow(`${folder}/src`).flatMap((file) => suiteFolder(file) ?? []));
      for (const name of suites) expect(manifest.files).toEqual(expect.arrayContaining([`!dist/${name}`, `!src/${name}`]));
      expect(manifest.files).toEqual(expect.arrayContaining(['dist', 'src']));
    });

    // A package with a scope is private to npm unless it says otherwise, and refused where that is not paid for.
    it(`${folder} is public`, () => expect(manifest.publishConfig?.access).toBe('public'));

    // npm packs the licence that lies beside the manifest, and not the one of the repository.
    it(`${folder} brings its licence`, () => {
      expect(filesBelow(folder)).toContain(`${folder}/LICENSE`);
      expect(read(`${folder}/LICENSE`)).toBe(read('LICENSE'));
    });
  }
});

/** What npm would pack. Its own script where there is one: `npm` on the path may belong to another Node. */
function packed(folder: string): string[] {
  const { npm_execpath: script } = process.env;
  const [command, ...args] = script === undefined ? ['npm'] : [process.execPath, script];
  const { stdout } = spawnSync(command ?? '', [...args, 'pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: join(root, folder),
    encoding: 'utf8',
    shell: process.platform === 'win32' && script === undefined,
  });
  const [found] = JSON.parse(stdout) as readonly { readonly files: readonly { readonly path: string }[] }[];
  return (found?.files ?? []).map(({ path }) => path);
}

it('adapters/node is published without the demo, which npm start runs here, and with the testee, which the harness starts', {
  timeout: 60_000,
}, () => {
  const files = packed('adapters/node');
  expect(files.filter((file) => file.includes('demo'))).toEqual([]);
  expect(files).toEqual(expect.arrayContaining(['src/bin/testee.ts', 'src/bin/cli.ts', 'src/bin/runtime.ts', 'src/index.ts', 'README.md']));
});

describe('the check itself', () => {
  const planted = (file: string, source: string): string[] => upwardImports(file, source, named);

  it.each([
    ['an import', "import { drive } from '@ferrywire/driver';"],
    ['a type import', "import type { Driver } from '@ferrywire/driver';"],
    ['a re-export', "export { drive } from '@ferrywire/driver';"],
    ['a star re-export', "export * from '@ferrywire/driver/testing';"],
    ['a dynamic import', "const host = await import('@ferrywire/driver');"],
    ['an inline type import', "type Host = import('@ferrywire/driver').Driver;"],
    ['an import over several lines', "import {\n  drive, // the pump\n} from\n  '@ferrywire/driver';"],
    ['a path out of the package', "import { drive } from '../../driver/src/index.ts';"],
    ['a platform module', "import { Buffer } from 'node:buffer';"],
    ['a package it does not declare', "import { sha1 } from '@noble/hashes/legacy.js';"],
    ['itself by name', "import { Connection } from '@ferrywire/core';"],
    ['a built file', "import { applyMask } from './mask.js';"],
    ['a program of the tests', "import { cases } from './suite/cases.ts';"],
    ['platform types', '/// <reference types="node" />'],
  ])('finds %s planted in core', (_, source) => {
    expect(planted('packages/core/src/planted.ts', source)).toHaveLength(1);
  });

  it('finds the frame codec planted in an adapter', () => {
    expect(planted('adapters/node/src/planted.ts', "import { applyMask } from '@ferrywire/core/frame';")).toHaveLength(1);
  });

  it('finds an arrow from an adapter up to the harness', () => {
    expect(planted('adapters/node/src/planted.ts', "import { runCases } from '@ferrywire/conformance';")).toHaveLength(1);
  });

  it('finds a file that belongs to no layer', () => {
    expect(planted('elsewhere/src/planted.ts', '')).toHaveLength(1);
  });

  it('lets the programs of the tests use their runner and the platform', () => {
    const source =
      "import { test } from 'uvu';\nimport * as assert from 'uvu/assert';\nimport fs from 'node:fs';\nimport { a } from './a.ts';";
    expect(planted('packages/core/src/suite/planted.ts', source)).toEqual([]);
    expect(planted('packages/core/src/planted.ts', source)).toHaveLength(3);
  });

  it('lets arrows down through, and words in comments and strings', () => {
    expect(planted('adapters/node/src/planted.ts', "import { drive } from '@ferrywire/driver';\nimport net from 'node:net';")).toEqual([]);
    expect(
      planted('packages/core/src/planted.ts', "// import '@ferrywire/driver'\nexport const s = \"import '@ferrywire/driver'\";"),
    ).toEqual([]);
  });

  it('refuses an import whose target it cannot read', () => {
    expect(() => importsOf('planted.ts', 'await import(name);')).toThrow(TypeError);
    expect(() => importsOf('planted.ts', 'import {')).toThrow(SyntaxError);
  });
});

interface CompilerSettings {
  readonly compilerOptions: { readonly types?: readonly string[]; readonly lib?: readonly string[] };
}

describe('compiler settings', () => {
  const settings = (path: string): CompilerSettings['compilerOptions'] => (JSON.parse(read(path)) as CompilerSettings).compilerOptions;
  const base = settings('tsconfig.base.json');

  it('starts from no platform', () => {
    expect(base.types).toEqual([]);
    expect(base.lib).toEqual(['ES2022']);
  });

  it.each(['packages/core', 'packages/handshake', 'packages/driver'])('%s compiles without platform types', (folder) => {
    const own = settings(`${folder}/tsconfig.json`);
    expect(own.types ?? []).toEqual([]);
    // Node's stack of the runtimes is ES2022; disposal symbols are declarations only.
    expect((own.lib ?? ['ES2022']).filter((lib) => lib !== 'ESNext.Disposable')).toEqual(['ES2022']);
  });

  it('has bun-types in adapters/bun only', () => {
    for (const { folder } of named) {
      if (folder !== 'adapters/bun') expect(settings(`${folder}/tsconfig.json`).types ?? [], folder).not.toContain('bun-types');
    }
  });
});

describe('adapters are thin', () => {
  // Those of one runtime's sockets each. The Node adapter has HTTP/2, upgrades of other servers and two commands besides.
  it.each(['bun', 'deno', 'streams'])('%s has at most 400 lines, comments included, and knows no opcode', (name) => {
    const sources = filesBelow(`adapters/${name}/src`).map(read);
    expect(sources.length).toBeGreaterThan(3);
    const lines = sources.reduce((sum, text) => sum + text.trimEnd().split('\n').length, 0);
    expect(lines).toBeLessThanOrEqual(400);
    expect(sources.join('\n')).not.toMatch(/opcode|Opcode|maskKey|\bfin\b|0x8[0-9a]\b/);
  });
});

describe('what is written down', () => {
  const text = filesBelow('.').filter((file) => !/\.(png|jpg|gif|ico|gz|bin|zip|pem)$/.test(file));

  it('names no path of a machine and no registry', () => {
    // Put together here, so that this file does not match itself.
    const forbidden = [
      new RegExp(`(^|[^\\w.@/-])/(${['work', 'home', 'root', 'Users'].join('|')})/\\w`, 'm'),
      new RegExp(`\\.\\./${'shared'}`),
      new RegExp(`\\b${'registry'}\\.\\w+\\.\\w+`),
    ];
    expect(text.length).toBeGreaterThan(20);
    const hits = text.flatMap((file) => {
      const content = read(file);
      return forbidden.filter((pattern) => pattern.test(content)).map((pattern) => `${file}: ${pattern.exec(content)?.[0].trim()}`);
    });
    expect(hits).toEqual([]);
  });
});
