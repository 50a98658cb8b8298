import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { parseObject, parseYaml } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import type { WaypointSpec } from '@ambit/model';
import { createLogger, LogLevels } from '@ambit/telemetry';

import { until } from '../until.testing.ts';
import { ManagedFolder } from './managed-folder.ts';

const LOG = createLogger({
  scope: 'test',
  levels: new LogLevels('off'),
  sink: { write: () => undefined },
  wallNow: () => 0,
});
const SPEC: WaypointSpec = {
  namespace: 'shop',
  name: 'waypoint',
  serviceAccount: 'waypoint',
  className: 'istio-waypoint',
  onDemand: true,
  because: ['AuthorizationPolicy/shop/get'],
};
const FILE = 'waypoint.shop.waypoint.yaml';

describe('ManagedFolder', () => {
  let folder = '';
  let managed: ManagedFolder;
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'ambit-managed-')), 'managed');
    managed = new ManagedFolder({ folder, clock: systemClock, log: LOG, lingerMs: 0 });
  });
  afterEach(async () => {
    await managed.stop();
    rmSync(join(folder, '..'), { recursive: true });
  });

  const set = async (...specs: readonly WaypointSpec[]): Promise<void> => {
    managed.set(new Map(specs.map((spec) => [`${spec.namespace}/${spec.name}`, spec])));
    const names = specs.map((spec) => `waypoint.${spec.namespace}.${spec.name}.yaml`).sort();
    await until(
      () => {
        const found = existsSync(folder) ? readdirSync(folder) : [];
        const ours = found.filter((name) => name.startsWith('waypoint.') && name.endsWith('.yaml'));
        return Promise.resolve(JSON.stringify(ours.sort()) === JSON.stringify(names));
      },
      () => `wanted ${names.join()}`,
    );
  };

  it('writes objects that our own parser accepts, with the labels that select the proxy', async () => {
    await set(SPEC);
    const { documents } = parseYaml(readFileSync(join(folder, FILE), 'utf8'), { source: FILE });
    const objects = documents.map(({ value }) => {
      const { object, findings } = parseObject(value);
      assert.deepEqual(
        findings.filter(({ severity }) => severity === 'error'),
        [],
      );
      return object;
    });
    assert.deepEqual(
      objects.map((object) => object?.kind),
      ['ServiceAccount', 'Deployment', 'Service'],
    );
    const [, deployment, service] = objects;
    assert.ok(deployment?.kind === 'Deployment' && service?.kind === 'Service');
    const { labels } = deployment.spec.template.metadata;
    for (const [key, value] of Object.entries(service.spec.selector))
      assert.equal(labels[key], value);
    assert.equal(labels['istio.io/dataplane-mode'], 'none');
  });

  it('takes away what is no longer wanted, and leaves files of others', async () => {
    await set(SPEC);
    writeFileSync(join(folder, 'mine.yaml'), 'x');
    writeFileSync(join(folder, 'waypoint.old.gone.yaml'), 'left by an earlier process');
    await set({ ...SPEC, namespace: 'other' });
    assert.ok(existsSync(join(folder, 'mine.yaml')));
    await set();
  });

  it('lets a waypoint outlive its last use, and keeps one that is wanted again meanwhile', async () => {
    const clock = new FakeClock();
    const lingering = new ManagedFolder({ folder, clock, log: LOG, lingerMs: 10_000 });
    const wanted = new Map([['shop/waypoint', SPEC]]);
    const isThere = (): Promise<boolean> => Promise.resolve(existsSync(join(folder, FILE)));
    lingering.set(wanted);
    await until(isThere, () => 'not written');
    lingering.set(new Map());
    await systemClock.sleep(50);
    clock.advance(9_000);
    lingering.set(wanted);
    await systemClock.sleep(50);
    clock.advance(20_000);
    await systemClock.sleep(50);
    assert.equal(await isThere(), true, 'it was wanted again');
    lingering.set(new Map());
    await systemClock.sleep(50);
    assert.equal(await isThere(), true, 'it lingers');
    clock.advance(10_000);
    await until(
      async () => !(await isThere()),
      () => 'not taken away',
    );
    await lingering.stop();
  });

  it('tries again when it cannot write', async () => {
    writeFileSync(folder, 'a file where the folder should be');
    managed.set(new Map([['shop/waypoint', SPEC]]));
    await systemClock.sleep(50);
    rmSync(folder);
    await until(
      () => Promise.resolve(existsSync(join(folder, FILE))),
      () => 'not written',
    );
  });
});
