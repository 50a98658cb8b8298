/** YAML of waypoints that people ask for. Imported by tests only. */
import { serviceYaml, yaml } from './bed.ts';

export interface GatewayOptions {
  readonly className?: string;
  /** Of what is made for it. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A Gateway in `shop` that is a waypoint. */
export function gatewayYaml(name: string, options: GatewayOptions = {}): string {
  const { className = 'istio-waypoint', annotations } = options;
  return yaml({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'shop' },
    spec: {
      gatewayClassName: className,
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
      ...(annotations === undefined ? {} : { infrastructure: { annotations } }),
    },
  });
}

/** As `serviceYaml`, sent through a waypoint of its namespace by its label; without one, not. */
export function serviceThroughYaml(name: string, waypoint?: string): string {
  const labels = waypoint === undefined ? {} : { 'istio.io/use-waypoint': waypoint };
  return serviceYaml(name, 'shop', {}, labels);
}
