/** What `%VAR%` in header values stands for. */
import type { VariableLookup } from '@ambit/routing';
import type { Transaction } from '../transaction.ts';

export function variablesOf(tx: Transaction, status?: number): VariableLookup {
  const { caller, destination } = tx.plane;
  return (variable, argument) => {
    switch (variable) {
      case 'DOWNSTREAM_REMOTE_ADDRESS':
        return `${caller.ip}:${caller.port}`;
      case 'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT':
        return caller.ip;
      case 'DOWNSTREAM_PEER_URI_SAN':
        return caller.identity;
      case 'DOWNSTREAM_LOCAL_ADDRESS':
        return destination.authority;
      case 'PROTOCOL':
        return tx.exchange.head.version === '2' ? 'HTTP/2' : `HTTP/${tx.exchange.head.version}`;
      case 'REQ':
        return requestHeader(tx, argument ?? '');
      case 'RESPONSE_CODE':
        return status === undefined ? undefined : String(status);
      case 'START_TIME':
        return new Date(tx.startedAtMs).toISOString();
      case 'UPSTREAM_REMOTE_ADDRESS':
        return tx.endpoint === undefined
          ? undefined
          : `${tx.endpoint.workload.addresses[0] ?? ''}:${tx.endpoint.targetPort}`;
      default:
        return undefined;
    }
  };
}

/** `NAME`, or `NAME?OTHER` for when the first is absent. */
function requestHeader(tx: Transaction, argument: string): string | undefined {
  const { head } = tx.exchange;
  for (const name of argument.toLowerCase().split('?')) {
    const value =
      name === ':method'
        ? head.method
        : name === ':authority' || name === 'host'
          ? head.authority
          : name === ':path'
            ? `${tx.path}${tx.query}`
            : tx.headers.get(name);
    if (value !== undefined) {
      return value;
    }
  }
  return undefined;
}
