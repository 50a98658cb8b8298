import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { checkValues, defaultValues } from './check-values.ts';
import { mapIstioOperator } from './istio-operator.ts';
import { type JsonMap, mergeValues } from './values.ts';

const FULL = `
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  profile: ambient
  namespace: mesh
  hub: gcr.io/istio-release
  revision: 1-30
  meshConfig:
    trustDomain: example.org
    accessLogFile: /dev/stdout
    defaultConfig: {holdApplicationUntilProxyStarts: true}
  components:
    pilot:
      k8s:
        replicaCount: 3
        resources: {requests: {cpu: 500m}}
    ingressGateways:
      - name: istio-ingressgateway
        enabled: true
  values:
    global:
      imagePullSecrets: [regcred]
      logging: {level: "default:debug,ads:info"}
      proxy: {resources: {limits: {cpu: 2}}}
    cni: {cniBinDir: /home/kubernetes/bin, chained: true}
    pilot:
      env: {DEFAULT_WORKLOAD_CERT_TTL: 12h, PILOT_ENABLE_STATUS: "true"}
`;

describe('mapIstioOperator', () => {
  const mapped = mapIstioOperator(parse(FULL) as JsonMap, 'iop.yaml');

  it('takes over what has a counterpart', () => {
    assert.equal(mapped.profile, 'default');
    assert.equal(mapped.namespace, 'mesh');
    assert.deepEqual(mapped.values, {
      revision: '1-30',
      trustDomain: 'example.org',
      controller: { replicas: 3, resources: { requests: { cpu: '500m' } } },
      imagePullSecrets: [{ name: 'regcred' }],
      logLevel: 'debug',
      cni: { binDir: '/home/kubernetes/bin' },
      ca: { certTtlSeconds: 43_200 },
    });
    assert.deepEqual(checkValues(mergeValues(defaultValues(), mapped.values)), []);
  });

  it('lists everything else by path, with why', () => {
    assert.deepEqual(mapped.ignored.map(({ path }) => path).sort(), [
      'spec.components.ingressGateways',
      'spec.hub',
      'spec.meshConfig.accessLogFile',
      'spec.meshConfig.defaultConfig',
      'spec.values.cni.chained',
      'spec.values.global.proxy.resources',
      'spec.values.pilot.env.PILOT_ENABLE_STATUS',
    ]);
    for (const { path, why } of mapped.ignored) assert.ok(why.length > 10, path);
  });

  it('names a profile that it does not know', () => {
    const { profile, ignored } = mapIstioOperator({ spec: { profile: 'remote' } }, 'x');
    assert.equal(profile, undefined);
    assert.deepEqual(
      ignored.map(({ path }) => path),
      ['spec.profile'],
    );
  });

  for (const spec of ['text', 3, ['list'], true] as const) {
    it(`refuses the spec ${JSON.stringify(spec)}`, () => {
      assert.throws(() => mapIstioOperator({ spec }, 'iop.yaml'), /IstioOperator in iop\.yaml/);
    });
  }

  it('takes an empty one', () => {
    assert.deepEqual(mapIstioOperator({}, 'x').values, {});
  });
});
