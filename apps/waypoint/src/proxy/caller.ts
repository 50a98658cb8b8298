/** Who opened a tunnel: what its certificate and its connection say, and the workload that fits both. */
import { type ConnectRequest, formatBaggage, parseBaggage } from '@ambit/hbone';
import type { Caller } from '@ambit/http';
import type { MeshIndex } from '@ambit/model';

/** Nothing that the request says counts; its baggage is passed on as far as it is well-formed. */
export function callerOf(
  request: Pick<ConnectRequest, 'peer' | 'remoteAddress' | 'remotePort' | 'headers'>,
  index: MeshIndex,
): Caller {
  const { peer, remoteAddress, remotePort, headers } = request;
  const baggage = formatBaggage(parseBaggage(headers['baggage']));
  const workload = index.workloadByAddress(index.network, remoteAddress);
  const isSame =
    workload?.namespace === peer.namespace && workload.serviceAccount === peer.serviceAccount;
  return {
    identity: peer.uri,
    trustDomain: peer.trustDomain,
    namespace: peer.namespace,
    serviceAccount: peer.serviceAccount,
    ip: remoteAddress,
    port: remotePort,
    ...(baggage === '' ? {} : { baggage }),
    ...(workload !== undefined && isSame ? { workload } : {}),
  };
}
