import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { versionFindings } from './version-findings.ts';

const of = (version: string, ...names: readonly string[]) =>
  names.map((name) => ({ name, version }));

describe('versionFindings', () => {
  for (const [title, given, problems, warnings] of [
    ['nothing of one version', { proxies: of('1.4.0', 'n1', 'shop/waypoint') }, [], []],
    ['nothing of patches', { proxies: of('1.4.9', 'n1'), meshctl: '1.4.3' }, [], []],
    ['nothing of tags that are no versions', { proxies: of('test', 'n1'), meshctl: 'dev' }, [], []],
    [
      'an older minor version as a warning, once for all of it',
      { proxies: [...of('1.3.2', 'n2', 'n1'), ...of('1.4.0', 'n3')] },
      [],
      [
        'n1, n2 are of version 1.3.2, one minor version older than the controller (1.4.0): supported while an upgrade runs',
      ],
    ],
    [
      'older ones as a problem',
      { proxies: of('1.2.0', 'n1') },
      [
        'n1 is of version 1.2.0, 2 minor versions older than the controller (1.4.0): upgrade them one minor version at a time: meshctl upgrade, kubectl rollout status',
      ],
      [],
    ],
    [
      'newer ones as a problem',
      { proxies: of('1.5.0', 'shop/waypoint') },
      [
        'shop/waypoint is of version 1.5.0, one minor version newer than the controller (1.4.0): upgrade the controller; it does not know what they may be told',
      ],
      [],
    ],
    [
      'replicas that differ, and judges by the newest',
      { controllers: ['1.4.0', '1.3.0', '1.4.0'], proxies: of('1.3.0', 'n1') },
      ['controllers are of versions 1.3.0 and 1.4.0'],
      [
        'n1 is of version 1.3.0, one minor version older than the controller (1.4.0): supported while an upgrade runs',
      ],
    ],
    [
      'names of the first five',
      { proxies: of('1.1.0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7') },
      [
        'n1, n2, n3, n4, n5 and 2 more are of version 1.1.0, 3 minor versions older than the controller (1.4.0): upgrade them one minor version at a time: meshctl upgrade, kubectl rollout status',
      ],
      [],
    ],
    ['a newer meshctl as fine', { meshctl: '1.5.0' }, [], []],
    [
      'an older meshctl as a warning',
      { meshctl: '1.3.0' },
      [],
      [
        'meshctl is of version 1.3.0, one minor version older than the controller (1.4.0): use the one of 1.4.0',
      ],
    ],
  ] as const) {
    it(`says ${title}`, () =>
      assert.deepEqual(
        versionFindings({ controllers: ['1.4.0'], proxies: [], meshctl: '1.4.0', ...given }),
        { problems, warnings },
      ));
  }
});
