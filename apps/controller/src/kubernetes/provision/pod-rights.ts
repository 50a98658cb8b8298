/**
 * What a pod may not get by an overlay: rights on its node, or on what other pods of the node have.
 *
 * Rule: the borders are those of Kubernetes' own Pod Security Standard "baseline", because whoever may write a ConfigMap need not be
 * allowed to make pods, and the controller, which is, makes this one.
 */
import type { Finding } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';
import type { WaypointSpec } from '@ambit/model';
import { complain, valueAt } from './overlays.ts';

const POD = 'spec.template.spec';
const CAPABILITIES = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
];
const SYSCTLS = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_syncookies',
];
const SELINUX_TYPES = [
  '',
  'container_t',
  'container_init_t',
  'container_kvm_t',
  'container_engine_t',
];
/** How AppArmor was chosen before it had fields; the server still reads it. */
const APP_ARMOR = 'container.apparmor.security.beta.kubernetes.io/';
const APP_ARMOR_ALLOWED = 'runtime/default, localhost/PROFILE';
const SHOWN_MAX = 80;

/** Of a `securityContext`, a pod's or a container's: what may be there, besides nothing. */
const CONTEXT: Readonly<Record<string, readonly unknown[]>> = {
  privileged: [false],
  procMount: ['Default'],
  'windowsOptions.hostProcess': [false],
  'seccompProfile.type': ['RuntimeDefault', 'Localhost'],
  'appArmorProfile.type': ['RuntimeDefault', 'Localhost'],
  'seLinuxOptions.type': SELINUX_TYPES,
  'seLinuxOptions.user': [''],
  'seLinuxOptions.role': [''],
};

/** All that is too much goes into `findings`; then the object is not to be used. */
export function checkPodRights(deployment: KubeObject, findings: Finding[]): void {
  const refuse = (path: string, found: unknown, allowed: readonly unknown[] | string): void => {
    complain(findings, {
      path: `deployment.${POD}.${path}`,
      message: 'is a right on the node',
      found: (JSON.stringify(found) ?? 'nothing').slice(0, SHOWN_MAX),
      allowed: typeof allowed === 'string' ? allowed : allowed.join(', '),
    });
  };
  for (const [key, value] of annotationsOf(valueAt(deployment, 'spec.template.metadata'))) {
    if (!isAnnotationFree(key, value)) {
      complain(findings, {
        path: `deployment.spec.template.metadata.annotations["${key}"]`,
        message: 'is a right on the node',
        found: JSON.stringify(value).slice(0, SHOWN_MAX),
        allowed: APP_ARMOR_ALLOWED,
      });
    }
  }
  const pod = valueAt(deployment, POD);
  for (const [index, volume] of listAt(pod, 'volumes').entries()) {
    const found = valueAt(volume, 'hostPath');
    const allowed = 'volumes of the pod: configMap, secret, emptyDir, persistentVolumeClaim';
    if (found !== undefined) refuse(`volumes[${index}].hostPath`, found, allowed);
  }
  for (const [index, sysctl] of listAt(pod, 'securityContext.sysctls').entries()) {
    const name = valueAt(sysctl, 'name');
    if (!isOneOf(name, SYSCTLS)) refuse(`securityContext.sysctls[${index}].name`, name, SYSCTLS);
  }
  checkContext(pod, '', refuse);
  for (const field of ['containers', 'initContainers']) {
    for (const [index, container] of listAt(pod, field).entries()) {
      checkContainer(container, `${field}[${index}].`, refuse);
    }
  }
}

/** Without what a Gateway's own annotations would give its pods; that is in `findings`. */
export function withoutRights(spec: WaypointSpec, findings: Finding[]): WaypointSpec {
  const { infrastructure } = spec;
  const wrong = annotationsOf(infrastructure).filter((one) => !isAnnotationFree(...one));
  if (infrastructure === undefined || wrong.length === 0) return spec;
  const annotations = { ...infrastructure.annotations };
  for (const [key, value] of wrong) {
    delete annotations[key];
    complain(findings, {
      path: `spec.infrastructure.annotations["${key}"]`,
      message: 'is a right on the node',
      found: JSON.stringify(value).slice(0, SHOWN_MAX),
      allowed: APP_ARMOR_ALLOWED,
      fix: 'take it out',
    });
  }
  return { ...spec, infrastructure: { ...infrastructure, annotations } };
}

function annotationsOf(metadata: unknown): readonly (readonly [string, unknown])[] {
  const annotations = valueAt(metadata, 'annotations');
  return typeof annotations === 'object' && annotations !== null ? Object.entries(annotations) : [];
}

function isAnnotationFree(key: string, value: unknown): boolean {
  if (!key.startsWith(APP_ARMOR)) return true;
  return value === 'runtime/default' || String(value).startsWith('localhost/');
}

type Refuse = (path: string, found: unknown, allowed: readonly unknown[] | string) => void;

function checkContainer(container: unknown, path: string, refuse: Refuse): void {
  checkContext(container, path, refuse);
  for (const [index, name] of listAt(container, 'securityContext.capabilities.add').entries()) {
    const at = `${path}securityContext.capabilities.add[${index}]`;
    if (!isOneOf(name, CAPABILITIES)) refuse(at, name, CAPABILITIES);
  }
  for (const [index, port] of listAt(container, 'ports').entries()) {
    const found = valueAt(port, 'hostPort');
    if (found !== undefined && found !== 0) {
      refuse(`${path}ports[${index}].hostPort`, found, 'ports of the pod');
    }
  }
}

function checkContext(owner: unknown, path: string, refuse: Refuse): void {
  for (const [field, allowed] of Object.entries(CONTEXT)) {
    const found = valueAt(owner, `securityContext.${field}`);
    if (found !== undefined && !isOneOf(found, allowed)) {
      refuse(`${path}securityContext.${field}`, found, allowed);
    }
  }
}

function isOneOf(found: unknown, allowed: readonly unknown[]): boolean {
  return allowed.includes(found);
}

function listAt(root: unknown, path: string): readonly unknown[] {
  const value = valueAt(root, path);
  return Array.isArray(value) ? value : [];
}
