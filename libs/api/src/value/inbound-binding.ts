/**
 * How a proxy in a pod of the mesh takes what comes through tunnels that its agent ends for it, as the annotation of its Gateway or
 * GatewayClass says: `PROXY/15088`, `PROXY`, `NONE/8080`, `NONE`.
 *
 * The reference takes a port that is no number for no port, and what it does not know for no annotation; both are refused here.
 */

/** On a Gateway, before that of its GatewayClass. */
export const INBOUND_BINDING = 'ambient.istio.io/waypoint-inbound-binding';

export interface InboundBinding {
  /** `PROXY`: behind a header of PROXY protocol version 2. */
  readonly protocol: 'NONE' | 'PROXY';
  /** 0: the port that the tunnel names. */
  readonly port: number;
}

const PATTERN = /^(NONE|PROXY)(?:\/([1-9][0-9]{0,4}))?$/;
const PORT_MAX = 65_535;
/** The agent's own in the pod: outbound, plaintext, tunnels, DNS. */
const AGENT_PORTS: readonly number[] = [15_001, 15_006, 15_008, 15_053];

/** What may be written, for people. */
export const INBOUND_BINDINGS = `PROXY, PROXY/PORT, NONE, NONE/PORT, with a PORT from 1 to ${PORT_MAX} that is not the agent's (${AGENT_PORTS.join(', ')})`;

/** Undefined for what is none. */
export function parseInboundBinding(text: string): InboundBinding | undefined {
  const [, protocol, digits = '0'] = PATTERN.exec(text) ?? [];
  const port = Number(digits);
  if (port > PORT_MAX || AGENT_PORTS.includes(port)) return undefined;
  return protocol === 'NONE' || protocol === 'PROXY' ? { protocol, port } : undefined;
}
