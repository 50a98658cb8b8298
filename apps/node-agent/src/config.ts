/**
 * The agent's settings, from the environment; the only reader of it.
 *
 * Every problem is reported at once; the result is frozen. Names of the reference keep their meaning.
 */
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { deepFreeze, type Environment, type HostPort, Settings } from '@ambit/core';
import type { ContainerLimits } from '@ambit/telemetry';
import { type ProxySettings, readProxySettings } from '@ambit/xds';
import { type CniSettings, readCniSettings } from './cni/cni-settings.ts';
import { AgentError } from './errors.ts';

/** Without `xdsAddress` there is no controller, and what is on disk decides. */
export interface AgentConfig extends ProxySettings {
  readonly nodeName: string;
  readonly instanceIp: string;
  readonly runDir: string;
  readonly adminSocket: string;
  /** A path that opens the node's own network namespace, where kubelet's probes come from. */
  readonly hostNetns: string;
  /** Where the node's proc is mounted: a container cannot write its own net sysctls. */
  readonly hostProc: string;
  /** Absent: no CNI plugin is installed. */
  readonly cni: CniSettings | undefined;
  readonly dnsCapture: boolean;
  readonly ipv6Enabled: boolean;
  readonly resolvConf: string;
  readonly probeSourceV4: string;
  readonly probeSourceV6: string;
  /** `ISTIO_META_*` without the prefix, for the control plane. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly xdsHeaders: Readonly<Record<string, string>>;
  readonly caHeaders: Readonly<Record<string, string>>;
}

export type Endpoint = HostPort;

/** Throws AGENT_CONFIG_INVALID that names every problem. */
export function parseConfig(env: Environment, limits: ContainerLimits = {}): AgentConfig {
  const settings = new Settings(env);
  const runDir = settings.text('AMBIT_RUN_DIR', '/var/run/ambit');
  const config: AgentConfig = {
    nodeName: settings.required('NODE_NAME'),
    ...readProxySettings(settings, limits),
    instanceIp: ipOf(settings, 'INSTANCE_IP', '1.1.1.1'),
    runDir,
    adminSocket: settings.socketPath('AMBIT_ADMIN_SOCKET', `${runDir}/admin.sock`),
    hostNetns: settings.text('AMBIT_HOST_NETNS', '/proc/self/ns/net'),
    hostProc: settings.text('AMBIT_HOST_PROC', '/proc'),
    cni: readCniSettings(settings, dirname(process.argv[1] ?? '/')),
    dnsCapture: settings.flag('ISTIO_META_DNS_CAPTURE', true),
    ipv6Enabled: settings.flag('IPV6_ENABLED', true),
    resolvConf: settings.text('AMBIT_RESOLV_CONF', '/etc/resolv.conf'),
    probeSourceV4: ipOf(settings, 'HOST_PROBE_SNAT_IP', '169.254.7.127', 4),
    probeSourceV6: ipOf(
      settings,
      'HOST_PROBE_SNAT_IPV6',
      'fd16:9254:7127:1337:ffff:ffff:ffff:ffff',
      6,
    ),
    metadata: withPrefix(env, 'ISTIO_META_'),
    xdsHeaders: withPrefix(env, 'XDS_HEADER_'),
    caHeaders: withPrefix(env, 'CA_HEADER_'),
  };
  if (settings.problems.length > 0) {
    const text = `bad settings: ${settings.problems.join('; ')}`;
    throw new AgentError('AGENT_CONFIG_INVALID', text, { retryable: false });
  }
  return deepFreeze(config);
}

/** For the admin dump: camelCase as it is, headers (which may be credentials) by name alone. */
export function describeConfig(config: AgentConfig): Readonly<Record<string, unknown>> {
  const names = (headers: Readonly<Record<string, string>>) => Object.keys(headers).sort();
  return {
    ...config,
    localNode: config.nodeName,
    numWorkerThreads: config.workers,
    secretTtl: { secs: config.secretTtlSeconds, nanos: 0 },
    proxyMode: 'Shared',
    dnsProxy: config.dnsCapture,
    xdsHeaders: names(config.xdsHeaders),
    caHeaders: names(config.caHeaders),
  };
}

function withPrefix(env: Environment, prefix: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      name.startsWith(prefix) && value !== undefined ? [[name.slice(prefix.length), value]] : [],
    ),
  );
}

/** A canonical or plain IP address, of one family if one is given. */
function ipOf(settings: Settings, name: string, fallback: string, family?: 4 | 6): string {
  return settings.parsed(name, {
    fallback,
    wanted: family === undefined ? 'an IP address' : `an IPv${family} address`,
    parse: (value) => {
      const found = isIP(value);
      return found === 0 || (family !== undefined && found !== family) ? undefined : value;
    },
  });
}
