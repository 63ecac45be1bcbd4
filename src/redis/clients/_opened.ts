/**
 * Waits until a client is connected.
 *
 * @param connecting What the client's own connect() returned.
 * @param close Ends the client at once; twice is fine.
 * @param failure What the client has told besides, which is often clearer than what its connect() rejects with.
 * @throws The signal's reason, or why it could not connect; the client is closed then.
 */
export async function opened(
  connecting: Promise<unknown>,
  close: () => void,
  failure: () => unknown,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => {
    // A client may get ready after it was closed: then it must be closed once more.
    connecting.then(close, close);
    close();
    reject(signal?.reason);
  };
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([connecting, aborted]);
    // One of the clients connects all the same when it could not choose the database.
    if (failure() !== undefined) throw failure();
  } catch (error) {
    close();
    throw signal?.aborted ? signal.reason : failure() ?? error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
