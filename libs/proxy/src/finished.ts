/**
 * The reason of a cancelled wait that nobody waits for any more. Made once: without a reason each abort makes a
 * DOMException with a stack, several for every connection.
 */
export const FINISHED: Error = new Error('nobody waits for this any more');
