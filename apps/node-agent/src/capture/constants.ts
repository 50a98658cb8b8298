/** Numbers that both ends of the capture agree on: rules, sockets and, for interoperation, other agents. */

export const OUTBOUND_PORT = 15001;
export const INBOUND_PORT = 15006;
export const HBONE_PORT = 15008;
export const DNS_PORT = 15053;

/** SO_MARK of every socket of the agent in a pod's namespace; exempts it from redirection. */
export const PACKET_MARK = 0x539;
/** On connections whose source the agent borrows from the client: brings the application's replies back. */
export const CONNECTION_MARK = 0x111;
export const MARK_MASK = 0xfff;

/**
 * Where packets with the connection mark are routed: everything is local there. Numbers of this mesh alone, so that a pod that moves
 * between meshes keeps the way back of whoever has it now, whoever cleans up after the other.
 */
export const ROUTE_TABLE = 15008;
export const RULE_PRIORITY = 32763;
/** What Istio's agent uses for the same, and agents of Ambit did before they had numbers of their own. */
export const SHARED_ROUTE_TABLE = 100;
export const SHARED_RULE_PRIORITY = 32764;

/** Sources of kubelet probes, which must reach the application as they are. */
export const PROBE_SOURCE_V4 = '169.254.7.127';
export const PROBE_SOURCE_V6 = 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff';
