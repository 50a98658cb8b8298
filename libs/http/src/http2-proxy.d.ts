/** The part of http2-proxy that is used here; the package has no types. */
declare module 'http2-proxy' {
  import type { ClientRequest, IncomingMessage } from 'node:http';
  import type { Duplex } from 'node:stream';

  interface UpgradeOptions {
    readonly onReq: (request: IncomingMessage, options: object) => ClientRequest;
    readonly onRes: (
      request: IncomingMessage,
      /** Absent for upgrades. */
      response: undefined,
      upstreamResponse: IncomingMessage,
    ) => void | Promise<void>;
  }

  const proxy: {
    ws(
      request: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      options: UpgradeOptions,
    ): Promise<void>;
  };
  // biome-ignore lint/style/noDefaultExport: the package is made so.
  export default proxy;
}
