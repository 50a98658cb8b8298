/**
 * The waypoint's settings, from the environment; the only reader of it.
 *
 * Every problem is reported at once; the result is frozen. Names of the reference keep their meaning.
 */
import { deepFreeze, type Environment, type HostPort, Settings } from '@ambit/core';
import type { ContainerLimits } from '@ambit/telemetry';
import { type ProxySettings, readProxySettings } from '@ambit/xds';
import { WaypointError } from './errors.ts';

export interface WaypointConfig extends ProxySettings {
  /** Of the Gateway that this waypoint runs for. */
  readonly gateway: { readonly namespace: string; readonly name: string };
  readonly className: string;
  /** Of the Service that callers find it by, where its Gateway gives that another name. */
  readonly serviceName: string;
  readonly nodeName: string;
  readonly instanceIp: string;
  /** Empty: no unix socket. */
  readonly adminSocket: string;
  readonly rootNamespace: string;
  readonly hboneAddress: Endpoint;
  /** From the signal to stop on, it accepts for so long: until everybody has heard that it leaves. Part of `drainMs`. */
  readonly drainDelayMs: number;
}

export type Endpoint = HostPort;

/** Throws WAYPOINT_CONFIG_INVALID that names every problem. */
export function parseConfig(env: Environment, limits: ContainerLimits = {}): WaypointConfig {
  const settings = new Settings(env);
  const gateway = gatewayOf(settings, 'GATEWAY');
  const config: WaypointConfig = {
    gateway,
    className: settings.text('GATEWAY_CLASS', 'istio-waypoint'),
    serviceName: settings.text('GATEWAY_SERVICE', gateway.name),
    ...readProxySettings(settings, limits),
    nodeName: settings.text('NODE_NAME', ''),
    instanceIp: settings.text('INSTANCE_IP', '1.1.1.1'),
    adminSocket: settings.socketPath('AMBIT_ADMIN_SOCKET', ''),
    rootNamespace: settings.text('ROOT_NAMESPACE', 'istio-system'),
    hboneAddress: settings.endpoint('AMBIT_HBONE_ADDRESS', { host: '::', port: 15_008 }),
    drainDelayMs: (settings.duration('AMBIT_DRAIN_DELAY', undefined) ?? 0) * 1_000,
  };
  if (config.xdsAddress === '') {
    settings.problem('XDS_ADDRESS', 'is empty: a waypoint has no configuration of its own', '');
  }
  if (config.drainDelayMs >= config.drainMs) {
    const drain = `${config.drainMs} ms that it has to end`;
    settings.problem('AMBIT_DRAIN_DELAY', `is not less than the ${drain}`, 0);
  }
  if (settings.problems.length > 0) {
    const text = `bad settings: ${settings.problems.join('; ')}`;
    throw new WaypointError('WAYPOINT_CONFIG_INVALID', text);
  }
  return deepFreeze(config);
}

/** The identity that this waypoint serves under. */
export function identityOf(config: WaypointConfig): string {
  return `spiffe://${config.trustDomain}/ns/${config.podNamespace}/sa/${config.serviceAccount}`;
}

/** `namespace/name` */
function gatewayOf(settings: Settings, name: string): WaypointConfig['gateway'] {
  const value = settings.text(name, '');
  const [namespace = '', gateway = '', ...rest] = value.split('/');
  const parsed = { namespace, name: gateway };
  return namespace === '' || gateway === '' || rest.length > 0
    ? settings.problem(name, `"${value.slice(0, 80)}" is not NAMESPACE/NAME`, parsed)
    : parsed;
}
