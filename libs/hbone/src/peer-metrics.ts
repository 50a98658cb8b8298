/** What is counted of peers, under the names that agents and waypoints have in common. */
import { PEER_REFUSALS, type PeerRefusalCounts } from './peer-refusals.ts';
import type { HbonePoolCounters } from './pool-options.ts';
import { FLOOD_REASONS, type HboneServerCounters } from './server-counters.ts';

export interface TunnelEnds {
  /** Those that accept tunnels, and those that open them, of one process. */
  readonly servers: readonly Pick<HboneServerCounters, 'refusedPeers' | 'floods'>[];
  readonly pools: readonly Pick<HbonePoolCounters, 'refusedPeers'>[];
}

/** Those with labels, in prom-client's JSON. Series that stand at 0 are left out. */
export function tunnelFamilies(ends: TunnelEnds): readonly object[] {
  return [refusedPeersFamily(ends), floodsFamily(ends)];
}

/** `role` is the refused peer's. */
export function refusedPeersFamily({ servers, pools }: TunnelEnds) {
  return {
    name: 'ambit_tunnel_peers_refused_total',
    help: 'Peers that were not taken for what their certificate or handshake was',
    type: 'counter',
    aggregator: 'sum',
    values: [...rowsOf('client', servers), ...rowsOf('server', pools)],
  };
}

function floodsFamily({ servers }: TunnelEnds) {
  const counts = servers.map(({ floods }) => floods);
  const rows = FLOOD_REASONS.map((reason) => ({
    labels: { reason },
    value: counts.reduce((sum, floods) => sum + floods[reason], 0),
  }));
  return {
    name: 'ambit_tunnel_floods_total',
    help: 'Tunnel sessions that were ended at a rate, or at another bound',
    type: 'counter',
    aggregator: 'sum',
    values: rows.filter(({ value }) => value > 0),
  };
}

function* rowsOf(
  role: 'client' | 'server',
  ends: readonly { readonly refusedPeers: PeerRefusalCounts }[],
) {
  for (const reason of PEER_REFUSALS) {
    const value = ends.reduce((sum, { refusedPeers }) => sum + refusedPeers[reason], 0);
    if (value > 0) {
      yield { labels: { role, reason }, value };
    }
  }
}
