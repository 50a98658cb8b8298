import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { defaultValues } from './check-values.ts';
import { goTool } from './go-tools.testing.ts';
import { type Manifest, renderObjects } from './manifests.ts';
import { alertRulesText } from './objects/alerts.ts';
import { dashboardJson } from './objects/dashboard.ts';
import { PROFILE_NAMES, PROFILES } from './profiles.ts';
import { type JsonMap, mergeValues } from './values.ts';

const CHART = join(import.meta.dirname, '../../../../manifests/chart');

/** Every condition and every kind of value at least once in a state that no profile has. */
const UNUSUAL: JsonMap = {
  hub: 'registry.example:5000/mesh/ambit',
  tag: '1e6',
  revision: 'canary',
  rootNamespace: 'mesh-root',
  network: 'on',
  imagePullSecrets: [{ name: 'pull' }],
  ca: {
    cacertsSecret: 'cacerts',
    trustedNodeAccounts: 'istio-system/ztunnel',
    certTtlSeconds: 7_776_000,
  },
  controller: {
    hpa: { enabled: true, maxReplicas: 50 },
    tolerations: [{ key: 'infra', operator: 'Exists' }],
    env: [{ name: 'A', value: '{{ not a template }} "quoted" 50%' }],
    podAnnotations: { 'example.com/note': 'yes' },
    priorityClassName: '',
  },
  agent: { tolerations: [], workers: 4, dnsCapture: false, podAnnotations: { b: '1', a: '2' } },
  monitoring: {
    rules: { prometheusRule: true, labels: { release: 'kps' } },
    dashboard: { enabled: true },
  },
  resourceQuota: { enabled: true, pods: 100_000 },
};

let helm: string;
let folder: string;

before(async () => {
  helm = goTool('helm');
  folder = await mkdtemp(join(tmpdir(), 'ambit-helm-'));
});

after(async () => {
  await rm(folder, { recursive: true, force: true });
});

function run(...args: readonly string[]): string {
  return execFileSync(helm, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function template(files: readonly string[]): readonly Manifest[] {
  const options = files.flatMap((file) => ['--values', file]);
  const text = run(
    'template',
    'ambit',
    CHART,
    '-n',
    'mesh',
    '--kube-version',
    '1.35.0',
    ...options,
  );
  return parseAllDocuments(text)
    .map((one) => one.toJS() as Manifest | null)
    .filter((one) => one !== null);
}

function sorted(objects: readonly Manifest[]): readonly (readonly [string, Manifest])[] {
  return objects
    .map((object): [string, Manifest] => [`${object.kind}/${object.metadata.name}`, object])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function assertSame(files: readonly string[], values: JsonMap): void {
  const context = {
    values: mergeValues(defaultValues(), values),
    namespace: 'mesh',
    service: 'Helm',
  };
  const [own, theirs] = [sorted(renderObjects(context)), sorted(template(files))];
  assert.deepEqual(
    theirs.map(([name]) => name),
    own.map(([name]) => name),
  );
  for (const [at, [name, object]] of own.entries()) {
    assert.deepEqual(theirs[at]?.[1], object, name);
  }
}

describe('the Helm chart', () => {
  for (const name of PROFILE_NAMES) {
    it(`renders profile ${name} as meshctl does`, () => {
      assertSame([join(CHART, 'profiles', `${name}.yaml`)], PROFILES[name].values);
    });
  }

  it('renders unusual values as meshctl does', () => {
    const file = join(folder, 'unusual.yaml');
    writeFileSync(file, JSON.stringify(UNUSUAL));
    assertSame([file], UNUSUAL);
  });

  it('passes helm lint --strict with every profile', () => {
    for (const name of PROFILE_NAMES) {
      run('lint', '--strict', CHART, '-n', 'mesh', '-f', join(CHART, 'profiles', `${name}.yaml`));
    }
  });

  for (const [assignment, message] of [
    ['controler.replicas=2', /controler/],
    ['controller.replicas=0', /replicas/],
    ['controller.replicas=two', /replicas/],
    ['imagePullPolicy=Sometimes', /imagePullPolicy/],
    ['cni.binDir=relative', /binDir/],
    ['ca.trustedNodeAccounts=ztunnel', /trustedNodeAccounts/],
  ] as const) {
    it(`refuses --set ${assignment}`, () => {
      assert.throws(
        () => run('template', 'ambit', CHART, '--kube-version', '1.35.0', '--set', assignment),
        message,
      );
    });
  }
});

describe('the alert rules', () => {
  const check = (text: string): void => {
    const file = join(folder, 'rules.yaml');
    writeFileSync(file, text);
    execFileSync(goTool('rulecheck'), [file], { stdio: ['ignore', 'ignore', 'pipe'] });
  };

  it('are valid for Prometheus', () => check(alertRulesText()));

  it('and so is what the dashboard asks', () => {
    const { panels } = JSON.parse(dashboardJson()) as {
      readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
    };
    const rules = panels
      .flatMap(({ targets }) => targets)
      .map(({ expr }, at) => ({
        record: `panel:${at}`,
        expr: expr.replaceAll('$__rate_interval', '5m'),
      }));
    assert.ok(rules.length > 10);
    check(JSON.stringify({ groups: [{ name: 'panels', rules }] }));
  });

  it('would be refused with a broken expression', () => {
    assert.throws(() => check(alertRulesText().replace('absent(', 'absent((')), /parse error/);
  });
});
