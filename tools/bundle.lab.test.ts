/** The bundles are the programs: a lab of bundles tunnels, decides on HTTP, and takes nothing from the checkout. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  type Bed,
  clientYaml,
  echoYaml,
  inForce,
  makeBed,
  namespaceYaml,
  serviceYaml,
  yaml,
} from '../libs/lab/src/scenarios/bed.ts';
import { APPS, bundleApp } from './bundle.ts';

const WORLD = [
  namespaceYaml('shop'),
  echoYaml({ name: 'web', node: 'node2' }),
  serviceYaml('web'),
  clientYaml({ name: 'client', node: 'node1' }),
  yaml({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'read-only', namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      action: 'ALLOW',
      rules: [
        {
          from: [{ source: { principals: ['cluster.local/ns/shop/sa/client'] } }],
          to: [{ operation: { methods: ['GET'] } }],
        },
      ],
    },
  }),
].join('');

let folder: string;
let bed: Bed;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-bundles-'));
  for (const app of APPS) {
    await bundleApp(app, join(folder, app, 'dist'));
  }
  process.env['AMBIT_LAB_PROGRAMS'] = folder;
  bed = await makeBed(WORLD);
  await inForce(bed.lab, 'AuthorizationPolicy/shop/read-only');
});

after(async () => {
  delete process.env['AMBIT_LAB_PROGRAMS'];
  await bed?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe('a lab of bundles', () => {
  it('runs them, and no source', () => {
    const programs = commandLines(folder);
    for (const app of ['controller', 'node-agent', 'waypoint']) {
      const file = join(folder, app, 'dist', 'main.mjs');
      assert.ok(
        programs.some((line) => line.includes(file)),
        `${file} runs`,
      );
    }
  });

  it('decides requests in the waypoint for the real caller', async () => {
    const client = bed.caller('shop/client');
    assert.equal((await client.http({ url: 'http://web/' })).status, 200);
    assert.equal((await client.http({ url: 'http://web/', method: 'POST' })).status, 403);
  });

  it('starts its workers from the file beside it', () => {
    for (const app of ['node-agent', 'waypoint']) {
      assert.ok(readdirSync(join(folder, app, 'dist')).includes('worker-main.mjs'), app);
    }
  });

  it('leaves out of workers what only the pages of the main thread use', () => {
    for (const app of ['node-agent', 'waypoint']) {
      const worker = readFileSync(join(folder, app, 'dist', 'worker-main.mjs'), 'utf8');
      assert.doesNotMatch(worker, /["']node:(?:https?|inspector\/promises|cluster)["']/, app);
      assert.doesNotMatch(worker, /__require\d*\(["'](?:https?|cluster)["']\)/, app);
      assert.doesNotMatch(worker, /from ?["']\.\//, `${app} shares no chunk`);
    }
  });
});

describe('a bundled program', () => {
  const NAMES = { controller: 'ambit-controller', waypoint: 'ambit-waypoint' };
  for (const [app, name] of Object.entries(NAMES)) {
    it(`${app} says its version away from the checkout`, () => {
      const main = join(folder, app, 'dist', 'main.mjs');
      const { stdout } = spawnSync(process.execPath, [main, '--version'], { encoding: 'utf8' });
      assert.match(stdout, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ `));
    });
  }

  it('meshctl explains without the checkout', () => {
    const main = join(folder, 'meshctl', 'dist', 'main.mjs');
    const { stdout, status } = spawnSync(process.execPath, [main, '--help'], { encoding: 'utf8' });
    assert.equal(status, 0);
    assert.match(stdout, /Usage: meshctl/);
  });

  it('carries the licences of what is in it', () => {
    const text = readFileSync(
      join(folder, 'node-agent', 'dist', 'THIRD-PARTY-LICENSES.txt'),
      'utf8',
    );
    for (const name of ['@grpc/grpc-js', 'koffi', 'node-forge']) {
      assert.match(text, new RegExp(`^${name} \\d`, 'm'), name);
    }
  });
});

/** Command lines of processes that run files of this folder. */
function commandLines(part: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        // It has ended.
        return [];
      }
    })
    .filter((line) => line.includes(part));
}
