/**
 * Waits until a client is connected.
 *
 * @param connecting The promise of the client's connect().
 * @param close Ends the client at once; may be called twice.
 * @param failure Returns the error of the client's first `error` event, which is often clearer than the rejection of connect().
 * @throws The signal's reason or the error of connecting; the client is closed then.
 */
export async function opened(
  connecting: Promise<unknown>,
  close: () => void,
  failure: () => unknown,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => {
    // A client may become ready after it was closed, and must be closed again then.
    connecting.then(close, close);
    close();
    reject(signal?.reason);
  };
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([connecting, aborted]);
    // ioredis resolves connect() even if selecting the database failed.
    if (failure() !== undefined) throw failure();
  } catch (error) {
    close();
    throw signal?.aborted ? signal.reason : failure() ?? error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
