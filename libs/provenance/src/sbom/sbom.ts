/** Placeholder of the signature; the catalogue follows. */
export async function sbomOfEif(_eif: string, _eifSha256: string): Promise<object> {
  return {};
}
