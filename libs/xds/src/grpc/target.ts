/** Addresses of the control plane: `https://host:port` or `host:port`, always TLS. */
import { XdsError } from '../errors.ts';

const DEFAULT_PORT = 15_012;

/** A target for grpc-js. Throws XDS_REQUEST_INVALID, also for http:// and for anything after the port. */
export function grpcTarget(address: string): string {
  const text = address.replace(/^https:\/\//, '').replace(/\/$/, '');
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[2] === undefined ? DEFAULT_PORT : Number(match[2]);
  if (match?.[1] === undefined || port < 1 || port > 65_535) {
    throw new XdsError(
      'XDS_REQUEST_INVALID',
      `${JSON.stringify(address)} is not https://HOST:PORT`,
      {
        side: 'local',
      },
    );
  }
  return `${match[1]}:${port}`;
}
