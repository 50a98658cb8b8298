/** What tools/image-tar.ts uses of tar-stream, which comes without types. */
declare module 'tar-stream' {
  import type { Duplex, Readable, Writable } from 'node:stream';

  interface Header {
    readonly name: string;
    readonly type?: string | null;
    readonly mode?: number;
    readonly mtime?: Date;
    readonly size?: number;
    readonly linkname?: string | null;
    readonly uid?: number;
    readonly gid?: number;
    readonly uname?: string;
    readonly gname?: string;
  }

  interface Extract extends Writable {
    on(
      event: 'entry',
      listener: (header: Header, stream: Readable, next: () => void) => void,
    ): this;
    on(event: string, listener: (...args: never[]) => void): this;
  }

  interface Pack extends Readable {
    entry(header: Header, content?: Buffer): Duplex;
    finalize(): void;
  }

  const tar: { extract(): Extract; pack(): Pack };
  // biome-ignore lint/style/noDefaultExport: it is a CommonJS module.
  export default tar;
}
