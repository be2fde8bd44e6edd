/** A request whose answer only has to be a good one. A redirect is not followed: what is told goes to the address that was chosen. */
export async function ask(address: URL, init: RequestInit): Promise<void> {
  const response = await fetch(address, { ...init, redirect: 'manual' }).catch((error: Error) => {
    // fetch names the address in some of its messages, and an address of this kind is a secret.
    const cause = error.cause as { code?: string } | undefined;
    throw new Error(error.name === 'TimeoutError' || error.name === 'AbortError' ? 'no answer in time' : (cause?.code ?? 'no connection'));
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`answered ${response.status}`);
}
