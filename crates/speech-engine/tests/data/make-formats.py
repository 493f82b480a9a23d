"""Writes one short clip in each format that needs an encoder, from `fixtures/audio/en05.wav`. Needs PyAV and numpy."""

import struct
from pathlib import Path

import av
import numpy as np
from faster_whisper.audio import decode_audio

HERE = Path(__file__).parent
SAMPLES = (decode_audio(str(HERE.parents[3] / "fixtures/audio/en05.wav")) * 32768).astype(np.int16)[8000:17600]


def encode(name, container, codec, rate=16000, layout="mono", video=False, container_options=None, pipe=False):
    path = HERE / "formats" / name
    target = open(path, "wb") if pipe else str(path)
    if pipe:  # what cannot seek back leaves sizes unknown, as a browser's recorder does
        target.seekable = lambda: False
    with av.open(target, "w", format=container, options=container_options or {}) as out:
        picture = None
        if video:
            picture = out.add_stream("mpeg4", rate=10)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        stream = out.add_stream(codec, rate=rate)
        stream.codec_context.layout = layout
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate,
                                      frame_size=stream.codec_context.frame_size or 1024)
        if picture:
            for index in range(6):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * index, np.uint8), format="rgb24")
                for packet in picture.encode(frame):
                    out.mux(packet)
            for packet in picture.encode(None):
                out.mux(packet)
        frame = av.AudioFrame.from_ndarray(SAMPLES[None, :], format="s16", layout="mono")
        frame.sample_rate = 16000
        for part in (frame, None):
            for piece in resampler.resample(part):
                for packet in stream.encode(piece):
                    out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)


encode("aac.adts", "adts", "aac")
encode("aac.mp4-with-video", "mp4", "aac", video=True)
encode("aac.fragmented-mp4", "mp4", "aac", container_options={"movflags": "frag_keyframe+empty_moov"})
encode("alac.m4a", "ipod", "alac")
encode("pcm.aiff", "aiff", "pcm_s16be")
encode("pcm.caf", "caf", "pcm_s16le")
encode("ms-adpcm.wav", "wav", "adpcm_ms")
encode("ima-adpcm.wav", "wav", "adpcm_ima_wav")
encode("opus.live-webm", "webm", "libopus", rate=48000, container_options={"live": "1"}, pipe=True)
encode("opus.mp4", "mp4", "libopus", rate=48000)
encode("opus.mkv-with-video", "matroska", "libopus", rate=48000, layout="stereo", video=True)
encode("mp3.22k-mp3", "mp3", "libmp3lame", rate=22050)
encode("ac3.mkv", "matroska", "ac3", rate=48000)
(HERE / "formats" / "original.s16").write_bytes(struct.pack(f"<{len(SAMPLES)}h", *SAMPLES))
