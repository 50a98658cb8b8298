/**
 * Gives back to the kernel what malloc keeps of memory that was freed.
 *
 * Buffers of sockets and of TLS come and go by the thousand between things that stay, in an arena for each thread; glibc returns
 * only what is free at an arena's end.
 */
import koffi from 'koffi';

let trim: ((pad: number) => number) | undefined;

/** Of all threads; some milliseconds. Does nothing where the C library has no such thing. */
export function trimMemory(): void {
  trim ??= bindTrim();
  trim(0);
}

function bindTrim(): (pad: number) => number {
  try {
    return koffi.load(null).func('int malloc_trim(size_t pad)') as (pad: number) => number;
  } catch {
    // Not glibc: its malloc keeps what it keeps.
    return () => 0;
  }
}
