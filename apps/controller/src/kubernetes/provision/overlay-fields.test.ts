/** What a Gateway's own overlays may not say, although those of its class may. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { formatFinding } from '@ambit/api';

import { build, pod } from './build-waypoint.testing.ts';

describe('checkFields', () => {
  const ofClass: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['another container', pod('{containers: [{name: logs, image: x}]}')],
    ['another program', pod('{containers: [{name: istio-proxy, image: x, command: [x]}]}')],
    [
      'what any pod may have',
      pod(
        '{containers: [{name: x, ports: [{containerPort: 80}], securityContext: {capabilities: {add: [CHOWN]}, seccompProfile: {type: Localhost}}}]}',
      ),
    ],
    ['a volume of the pod', pod('{volumes: [{name: x, secret: {secretName: x}}]}')],
    [
      'a file of a volume',
      pod('{containers: [{name: istio-proxy, volumeMounts: [{name: tmp, mountPath: /x}]}]}'),
    ],
    ['a node', pod('{nodeName: x}')],
    ['a priority of the system', pod('{priorityClassName: system-node-critical}')],
    ['a token of the API', pod('{automountServiceAccountToken: true}')],
    ['another runtime', pod('{runtimeClassName: x}')],
    ['a device', pod('{containers: [{name: istio-proxy, resources: {limits: {x.io/kvm: 1}}}]}')],
    [
      'a program before it',
      pod('{initContainers: [{name: x, image: x}], shareProcessNamespace: true}'),
    ],
    [
      'a command as probe',
      pod('{containers: [{name: istio-proxy, readinessProbe: {exec: {command: [x]}}}]}'),
    ],
    [
      'a command at the end',
      pod('{containers: [{name: istio-proxy, lifecycle: {preStop: {exec: {command: [x]}}}}]}'),
    ],
    [
      'an option of the runtime',
      pod('{containers: [{name: istio-proxy, env: [{name: NODE_OPTIONS, value: --import=x}]}]}'),
    ],
    [
      'the address of another CA',
      pod('{containers: [{name: istio-proxy, env: [{name: CA_ADDRESS, value: "https://x:1"}]}]}'),
    ],
    [
      'a value out of a Secret',
      pod(
        '{containers: [{name: istio-proxy, env: [{name: TZ, valueFrom: {secretKeyRef: {name: x, key: y}}}]}]}',
      ),
    ],
    [
      'all of a Secret',
      pod('{containers: [{name: istio-proxy, envFrom: [{secretRef: {name: x}}]}]}'),
    ],
    ['more groups', pod('{securityContext: {supplementalGroups: [0]}}')],
    [
      'the end of what bounds the program',
      pod('{containers: [{name: istio-proxy, securityContext: {$patch: delete}}]}'),
    ],
    ['no bounds of system calls', pod('{securityContext: {seccompProfile: null}}')],
    ['no profile of AppArmor', pod('{securityContext: {appArmorProfile: null}}')],
    ['no options of SELinux', pod('{securityContext: {seLinuxOptions: null}}')],
    ['root', pod('{containers: [{name: istio-proxy, securityContext: {runAsUser: 0}}]}')],
    ['Secrets of an account', { serviceAccount: 'secrets: [{name: x}]' }],
    ['addresses that are not ready', { service: 'spec: {publishNotReadyAddresses: true}' }],
  ];
  for (const [what, data] of ofClass) {
    it(`takes from whoever runs the mesh, and from no Gateway: ${what}`, () => {
      assert.deepEqual(build(data, { isOfClass: true }).findings, []);
      const { findings } = build(data);
      assert.ok(findings.length > 0, 'it is refused');
      for (const { path, found, allowed, fix } of findings) {
        assert.ok(path.length > 0 && found !== undefined && allowed !== undefined, path);
        assert.match(fix ?? '', /defaults of the class/);
      }
    });
  }

  it('says where, what, and what else there is', () => {
    const [finding] = build(pod('{nodeName: x}')).findings;
    assert.match(
      finding === undefined ? '' : formatFinding(finding),
      /deployment\.spec\.template\.spec\.nodeName is not for a Gateway to say \(found "x"; allowed: nodeSelector, affinity, tolerations/,
    );
  });
});
