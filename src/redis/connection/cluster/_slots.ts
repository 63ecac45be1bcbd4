/** How many slots a Redis Cluster has. */
export const SLOTS = 16_384;

/** The slot of a stream and of its helper keys, whose names contain the stream's name as a hash tag, in braces. */
export function slotOf(stream: string): number {
  return crc16(new TextEncoder().encode(stream)) % SLOTS;
}

/** CRC-16/XMODEM, as Redis Cluster uses it. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}
