import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type Finding, formatFinding } from '@ambit/api';
import { build, pod } from './build-waypoint.testing.ts';
import { buildWaypoint } from './build-waypoint.ts';
import { parseOverlays, valueAt } from './overlays.ts';
import { withoutRights } from './pod-rights.ts';
import { onDemand, SETTINGS } from './provision.testing.ts';

function containerOf(deployment: unknown): unknown {
  return (valueAt(deployment, 'spec.template.spec.containers') as readonly unknown[])[0];
}

function environmentOf(deployment: unknown): ReadonlyMap<string, unknown> {
  const env = valueAt(containerOf(deployment), 'env') as readonly Record<string, unknown>[];
  return new Map(env.map(({ name, value, valueFrom }) => [String(name), value ?? valueFrom]));
}

describe('buildWaypoint', () => {
  it('gives the program what it needs to start, and no rights', () => {
    const { part, kinds, findings } = build();
    assert.deepEqual(findings, []);
    assert.deepEqual(kinds, ['serviceAccount', 'service', 'podDisruptionBudget', 'deployment']);
    const deployment = part('deployment');
    const env = environmentOf(deployment);
    for (const name of [
      'POD_NAME',
      'POD_NAMESPACE',
      'SERVICE_ACCOUNT',
      'INSTANCE_IP',
      'NODE_NAME',
    ]) {
      assert.notEqual(valueAt(env.get(name), 'fieldRef.fieldPath'), undefined, name);
    }
    assert.equal(env.get('GATEWAY'), 'shop/waypoint');
    assert.equal(env.get('XDS_ADDRESS'), SETTINGS.controllerAddress);
    assert.equal(env.has('AMBIT_WORKERS'), false, 'nothing bounds its CPUs');
    assert.equal(valueAt(deployment, 'spec.replicas'), undefined, 'whoever scales has it');
    assert.deepEqual(valueAt(deployment, 'spec.strategy.rollingUpdate'), {
      maxSurge: 1,
      maxUnavailable: 0,
    });
    const pod = valueAt(deployment, 'spec.template.spec');
    assert.equal(valueAt(pod, 'automountServiceAccountToken'), false);
    assert.deepEqual(valueAt(containerOf(deployment), 'securityContext.capabilities'), {
      drop: ['ALL'],
    });
    const podLabels = valueAt(deployment, 'spec.template.metadata.labels') as Record<
      string,
      string
    >;
    assert.equal(podLabels['istio.io/dataplane-mode'], 'none');
    assert.equal(podLabels['app.kubernetes.io/managed-by'], 'ambit-controller');
  });

  it('is spread over nodes also where they have no zone', () => {
    const pod = valueAt(build().part('deployment'), 'spec.template.spec');
    const spread = valueAt(pod, 'topologySpreadConstraints') as readonly Record<string, unknown>[];
    assert.deepEqual(
      spread.map(({ topologyKey }) => topologyKey),
      ['kubernetes.io/hostname'],
      'the scheduler passes over nodes without the label of any one of them',
    );
    assert.deepEqual(spread[0]?.['matchLabelKeys'], ['pod-template-hash']);
  });

  it('puts the labels and annotations of its Gateway on everything, ours before theirs', () => {
    const infrastructure = {
      labels: {
        team: 'a',
        'istio.io/dataplane-mode': 'ambient',
        'app.kubernetes.io/managed-by': 'x',
      },
      annotations: { note: 'b' },
    };
    const { part, kinds } = build({}, { spec: onDemand('shop', { infrastructure }) });
    for (const kind of kinds) {
      assert.equal(valueAt(part(kind), 'metadata.labels.team'), 'a', kind);
      assert.equal(valueAt(part(kind), 'metadata.annotations.note'), 'b', kind);
      const labels = valueAt(part(kind), 'metadata.labels') as Record<string, string>;
      assert.equal(labels['app.kubernetes.io/managed-by'], 'ambit-controller', kind);
    }
    const template = valueAt(part('deployment'), 'spec.template.metadata');
    assert.equal(valueAt(template, 'labels.team'), 'a');
    assert.equal(valueAt(template, 'annotations.note'), 'b');
    const labels = valueAt(template, 'labels') as Record<string, string>;
    assert.equal(labels['istio.io/dataplane-mode'], 'none');
  });

  it('has Prometheus find its pods, unless the mesh is not scraped by annotations', () => {
    const scraped = (isScraped: boolean): readonly string[] => {
      const { part } = build({}, { settings: { ...SETTINGS, isScraped } });
      const found = valueAt(part('deployment'), 'spec.template.metadata.annotations') as object;
      return Object.keys(found).filter((key) => key.startsWith('prometheus.io/'));
    };
    assert.equal(scraped(true).length, 3);
    assert.deepEqual(scraped(false), []);
  });

  it('takes no right on the node from annotations of its Gateway', () => {
    const key = 'container.apparmor.security.beta.kubernetes.io/istio-proxy';
    const findings: Finding[] = [];
    const withAnnotations = (annotations: Readonly<Record<string, string>>): unknown => {
      const infrastructure = { labels: {}, annotations };
      return withoutRights(onDemand('shop', { infrastructure }), findings).infrastructure
        ?.annotations;
    };
    assert.deepEqual(withAnnotations({ [key]: 'runtime/default' }), { [key]: 'runtime/default' });
    assert.equal(findings.length, 0);
    assert.deepEqual(withAnnotations({ [key]: 'unconfined', a: 'b' }), { a: 'b' });
    assert.equal(findings[0]?.path, `spec.infrastructure.annotations["${key}"]`);
  });

  it('gives a thread to each CPU that an overlay allows, unless it says how many', () => {
    const limits = (more = ''): string =>
      `spec: {template: {spec: {containers: [{name: istio-proxy, resources: {limits: {cpu: "2"}}${more}}]}}}`;
    const bounded = environmentOf(build({ deployment: limits() }).part('deployment'));
    assert.deepEqual(bounded.get('AMBIT_WORKERS'), {
      resourceFieldRef: { resource: 'limits.cpu', divisor: '1' },
    });
    const said = build({ deployment: limits(', env: [{name: AMBIT_WORKERS, value: "3"}]') });
    assert.equal(environmentOf(said.part('deployment')).get('AMBIT_WORKERS'), '3');
  });

  const graces: readonly (readonly [string, string, string | undefined])[] = [
    ['', '45', '5s'],
    ['spec: {template: {spec: {terminationGracePeriodSeconds: 300}}}', '300', '5s'],
    ['spec: {template: {spec: {terminationGracePeriodSeconds: 10}}}', '10', '3s'],
    ['spec: {template: {spec: {terminationGracePeriodSeconds: 2}}}', '2', undefined],
    ['spec: {template: {spec: {terminationGracePeriodSeconds: 0}}}', '1', undefined],
  ];
  for (const [deployment, grace, delay] of graces) {
    it(`tells the program of ${grace} s to end, of which it still accepts for ${delay ?? 'none'}`, () => {
      const env = environmentOf(build({ deployment }).part('deployment'));
      assert.equal(env.get('TERMINATION_GRACE_PERIOD_SECONDS'), grace);
      assert.equal(env.get('AMBIT_DRAIN_DELAY'), delay);
    });
  }

  it('lays one overlay over another, and makes an autoscaler where one gives its bounds', () => {
    const findings: Finding[] = [];
    const [ofClass, own] = [
      { service: 'metadata: {annotations: {a: class, b: class}}' },
      {
        service:
          'metadata: {annotations: {b: own, networking.istio.io/traffic-distribution: PreferSameZone}}',
        horizontalPodAutoscaler: 'spec: {maxReplicas: 4}',
      },
    ].map((data) => parseOverlays(data as unknown as Record<string, string>, findings));
    assert.ok(ofClass !== undefined && own !== undefined);
    const input = { spec: onDemand('shop'), settings: SETTINGS, serviceType: 'ClusterIP' };
    const built = buildWaypoint(input, [
      { overlays: ofClass, isOfClass: true },
      { overlays: own, isOfClass: false },
    ]);
    assert.deepEqual([...findings, ...built.findings], []);
    const service = built.parts.find(({ kind }) => kind === 'service')?.object.metadata.annotations;
    assert.equal(service?.['a'], 'class');
    assert.equal(service?.['b'], 'own');
    assert.equal(service?.['networking.istio.io/traffic-distribution'], 'PreferSameZone');
    const scaler = built.parts.find(({ kind }) => kind === 'horizontalPodAutoscaler')?.object;
    assert.equal(valueAt(scaler, 'spec.scaleTargetRef.name'), 'waypoint');
    assert.equal(valueAt(scaler, 'spec.maxReplicas'), 4);
  });

  const taken: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['nothing', {}],
    ['an empty overlay', { deployment: '' }],
    ['replicas', { deployment: 'spec: {replicas: 3}' }],
    ['where it runs', pod('{nodeSelector: {a: b}, tolerations: [{operator: Exists}]}')],
    ['what spreads it', pod('{affinity: {podAntiAffinity: {}}, topologySpreadConstraints: []}')],
    ['a class of priority', pod('{priorityClassName: important}')],
    ['time to end', pod('{terminationGracePeriodSeconds: 90}')],
    [
      'resources and settings of the program',
      pod(
        '{containers: [{name: istio-proxy, resources: {requests: {cpu: 1}}, env: [{name: AMBIT_LOG_LEVEL, value: debug}], readinessProbe: {periodSeconds: 2}}]}',
      ),
    ],
    ['no user, where the cluster gives one', pod('{securityContext: {runAsUser: null}}')],
    ['annotations of pods', { deployment: 'spec: {template: {metadata: {annotations: {a: b}}}}' }],
    ['a load balancer', { service: 'spec: {type: LoadBalancer, loadBalancerClass: x}' }],
    ['what is said as it is', { deployment: 'kind: Deployment' }],
    [
      'a copy of what is there',
      pod(
        '{automountServiceAccountToken: false, containers: [{name: istio-proxy, image: example/waypoint:1, env: [{name: GATEWAY, value: shop/waypoint}]}], volumes: [{name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}]}',
      ),
    ],
    ['the order that kubectl writes', pod('{$setElementOrder/containers: [{name: istio-proxy}]}')],
    ['labels of its own', { serviceAccount: 'metadata: {labels: {a: b}}' }],
    ['a budget', { podDisruptionBudget: 'spec: {maxUnavailable: null, minAvailable: 1}' }],
  ];
  for (const [what, data] of taken) {
    it(`takes ${what}`, () => assert.deepEqual(build(data).findings, []));
  }

  const refused: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
    [
      'a key that is no part',
      { deploy: '' },
      /data\.deploy is no part.*allowed: serviceAccount, service/,
    ],
    ['what is no YAML', { deployment: 'a: [' }, /data\.deployment line 1 /],
    [
      'a list',
      { deployment: '[1]' },
      /data\.deployment is no overlay \(found \[1\]; allowed: one YAML object/,
    ],
    [
      'two documents',
      { service: 'a: 1\n---\nb: 2' },
      /data\.service is no overlay \(found 2 documents/,
    ],
    [
      'another name',
      { service: 'metadata: {name: x}' },
      /service\.metadata\.name .*found "x"; allowed: "waypoint".*take it out/,
    ],
    ['another namespace', { service: 'metadata: {namespace: x}' }, /service\.metadata\.namespace/],
    ['owners', { service: 'metadata: {ownerReferences: [{uid: x}]}' }, /metadata\.ownerReferences/],
    ['another account', pod('{serviceAccountName: admin}'), /serviceAccountName/],
    ['the network of the node', pod('{hostNetwork: true}'), /hostNetwork/],
    ['processes of the node', pod('{hostPID: true}'), /hostPID/],
    [
      'a folder of the node',
      pod('{volumes: [{name: x, hostPath: {path: /}}]}'),
      /volumes\[3\]\.hostPath/,
    ],
    [
      'a privileged container',
      pod('{containers: [{name: istio-proxy, securityContext: {privileged: true}}]}'),
      /containers\[0\]\.securityContext\.privileged/,
    ],
    [
      'a privileged init container',
      pod('{initContainers: [{name: x, securityContext: {privileged: true}}]}'),
      /initContainers\[0\]/,
    ],
    [
      'capabilities of the node',
      pod('{containers: [{name: x, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}'),
      /containers\[1\]\.securityContext\.capabilities\.add\[0\] .*"SYS_ADMIN"; allowed: AUDIT_WRITE/,
    ],
    [
      'a port of the node',
      pod('{containers: [{name: x, ports: [{containerPort: 80, hostPort: 80}]}]}'),
      /containers\[1\]\.ports\[0\]\.hostPort/,
    ],
    [
      'what of /proc is hidden',
      pod('{initContainers: [{name: x, securityContext: {procMount: Unmasked}}]}'),
      /initContainers\[0\]\.securityContext\.procMount/,
    ],
    [
      'all system calls',
      pod('{securityContext: {seccompProfile: {type: Unconfined}}}'),
      /spec\.securityContext\.seccompProfile\.type/,
    ],
    [
      'a label of the node for SELinux',
      pod('{securityContext: {seLinuxOptions: {type: spc_t}}}'),
      /seLinuxOptions\.type/,
    ],
    [
      'no AppArmor, as it was said once',
      {
        deployment:
          'spec: {template: {metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/istio-proxy: unconfined}}}}',
      },
      /annotations\["container\.apparmor.*found "unconfined"; allowed: runtime\/default/,
    ],
    [
      'settings of the kernel',
      pod('{securityContext: {sysctls: [{name: kernel.msgmax, value: "1"}]}}'),
      /sysctls\[0\]\.name/,
    ],
    [
      'a process of the node on Windows',
      pod('{securityContext: {windowsOptions: {hostProcess: true}}}'),
      /hostProcess/,
    ],
    [
      'addresses of others',
      { service: 'spec: {externalIPs: [10.96.0.1]}' },
      /service\.spec\.externalIPs/,
    ],
    [
      'more than anybody writes',
      { deployment: `# ${'x'.repeat(32 * 1024)}` },
      /data\.deployment is too long \(found 32770 characters; allowed: at most 32768/,
    ],
    [
      'the end of the waypoint',
      pod('{containers: [{name: istio-proxy, $patch: delete}]}'),
      /lacks the waypoint/,
    ],
    [
      'the end of its pods',
      { deployment: 'spec: {template: null}' },
      /spec\.template\.spec\.serviceAccountName/,
    ],
    ['the end of what names it', { service: 'metadata: null' }, /service\.metadata\.name/],
    [
      'another selector',
      { deployment: 'spec: {selector: {matchLabels: {a: b}}}' },
      /deployment\.spec\.selector/,
    ],
    [
      'the end of the tunnels',
      { service: 'spec: {ports: [{port: 15008, $patch: delete}]}' },
      /lacks the port/,
    ],
    [
      'a target of the autoscaler',
      { horizontalPodAutoscaler: 'spec: {scaleTargetRef: {name: x}}' },
      /scaleTargetRef/,
    ],
    [
      'replicas beside an autoscaler',
      { deployment: 'spec: {replicas: 2}', horizontalPodAutoscaler: 'spec: {maxReplicas: 3}' },
      /deployment\.spec\.replicas.*minReplicas/,
    ],
    [
      'a shape that does not fit',
      { deployment: 'spec: []' },
      /deployment\.spec cannot be merged \(found \[\]; allowed: an object\)/,
    ],
  ];
  for (const [what, data, said] of refused) {
    it(`refuses ${what}`, () => {
      for (const isOfClass of [false, true]) {
        const text = build(data, { isOfClass }).findings.map((finding) => formatFinding(finding));
        const isSaid = text.some((line) => said.test(line));
        assert.ok(isSaid, `of class: ${isOfClass}\n${text.join('\n')}`);
      }
    });
  }
});
