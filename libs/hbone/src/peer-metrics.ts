/** What is counted of peers, under the names that agents and waypoints have in common. */
import { PEER_REFUSALS, type PeerRefusalCounts } from './peer-refusals.ts';
import type { HbonePoolCounters } from './pool-options.ts';
import type { HboneServerCounters } from './server-counters.ts';

export interface TunnelEnds {
  /** Those that accept tunnels, and those that open them, of one process. */
  readonly servers: Iterable<Pick<HboneServerCounters, 'refusedPeers'>>;
  readonly pools: Iterable<Pick<HbonePoolCounters, 'refusedPeers'>>;
}

/** prom-client's JSON. `role` is the refused peer's; series that stand at 0 are left out. */
export function refusedPeersFamily({ servers, pools }: TunnelEnds) {
  return {
    name: 'ambit_tunnel_peers_refused_total',
    help: 'Peers that were not taken for what their certificate or handshake was',
    type: 'counter',
    aggregator: 'sum',
    values: [...rowsOf('client', servers), ...rowsOf('server', pools)],
  };
}

function* rowsOf(
  role: 'client' | 'server',
  ends: Iterable<{ readonly refusedPeers: PeerRefusalCounts }>,
) {
  const all = [...ends];
  for (const reason of PEER_REFUSALS) {
    const value = all.reduce((sum, { refusedPeers }) => sum + refusedPeers[reason], 0);
    if (value > 0) {
      yield { labels: { role, reason }, value };
    }
  }
}
