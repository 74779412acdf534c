#!/usr/bin/env bash
# Regenerates the cameras and the slide that the simulator shows, and the voices of its Opus audio.
#
# Everything is drawn or synthesised here: a square wanders over the colour of each camera, the slide is plain
# text and bars, the voices are lines of the demo meeting. Needs: ffmpeg with libx264 and libopus, the DejaVu
# fonts, python3.
#
#   ./make-pictures.sh          regenerate, then check
#   ./make-pictures.sh check    only check
set -euo pipefail
cd "$(dirname "$0")"
ffmpeg() { command ffmpeg -v error -y "$@" </dev/null; }

# Annex B, one slice a picture, one IDR picture with its parameter sets and 24 P pictures.
H264=(-frames:v 25 -c:v libx264 -profile:v baseline -pix_fmt yuv420p -threads 1
  -x264-params "keyint=25:min-keyint=25:scenecut=0:repeat-headers=1:annexb=1" -crf 34
  -bsf:v filter_units=remove_types=6 -f h264)

cameras() {
  local number=0 colour
  for colour in 0x2f6f8f 0x8f4a2f 0x3f7f4a 0x6a3f8f; do
    ffmpeg -f lavfi -i "color=c=$colour:s=320x180:r=25:d=1" \
      -f lavfi -i "color=c=white:s=60x60:r=25:d=1" \
      -filter_complex "[0][1]overlay=x='20+10*n':y=60:shortest=1" "${H264[@]}" "camera-$number.h264"
    ffmpeg -i "camera-$number.h264" -frames:v 1 -q:v 8 "camera-$number.jpg"
    ffmpeg -i "camera-$number.h264" -frames:v 1 "camera-$number.png"
    number=$((number + 1))
  done
}

slide() {
  local font=/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
  ffmpeg -f lavfi -i "color=c=0xf4f1ea:s=640x360:r=25:d=1" -frames:v 1 -vf "
    drawbox=x=0:y=0:w=640:h=56:color=0x2f6f8f:t=fill,
    drawtext=fontfile=$font:text='Launch review':x=24:y=14:fontsize=26:fontcolor=white,
    drawtext=fontfile=$font:text='Two risks left':x=48:y=104:fontsize=22:fontcolor=0x333333,
    drawtext=fontfile=$font:text='One date to agree':x=48:y=150:fontsize=22:fontcolor=0x333333,
    drawbox=x=440:y=240:w=44:h=80:color=0x8f4a2f:t=fill,
    drawbox=x=500:y=200:w=44:h=120:color=0x3f7f4a:t=fill,
    drawbox=x=560:y=150:w=44:h=170:color=0x6a3f8f:t=fill" slide.png
  ffmpeg -i slide.png -q:v 8 slide.jpg
  ffmpeg -loop 1 -r 25 -i slide.png "${H264[@]}" slide.h264
}

# Packets of 20 ms, mono, each after its length in one byte: no container, as they travel.
voices() {
  local number=0 clip
  for clip in ana-01 bo-01 chidi-01; do
    ffmpeg -f alaw -ar 8000 -ac 1 -i "../demo/$clip.al" -c:a libopus -b:a 12k -application voip \
      -frame_duration 20 -ar 16000 -f ogg - | packets >"voice-$number.packets"
    number=$((number + 1))
  done
}

packets() {
  python3 -c '
import sys
data, packets, packet = sys.stdin.buffer.read(), [], b""
while data:
    lacing = data[27 : 27 + data[26]]
    body, data = data[27 + len(lacing) :], data[27 + len(lacing) + sum(lacing) :]
    for length in lacing:
        packet, body = packet + body[:length], body[length:]
        if length < 255:
            packets.append(packet)
            packet = b""
for packet in packets[2:]:  # after the headers
    sys.stdout.buffer.write(bytes([len(packet)]) + packet)
'
}

check() {
  local file
  for file in *.h264; do
    [ "$(ffprobe -v error -count_frames -show_entries stream=profile,nb_read_frames -of csv=p=0 \
      "$file")" = "Constrained Baseline,25" ] || { echo "$file is not 25 baseline pictures" >&2; exit 1; }
  done
  for file in *.jpg *.png; do ffprobe -v error "$file"; done
  wc -c -- *.h264 *.jpg *.png *.packets
}

[ "${1:-}" = check ] || { cameras; slide; voices; }
check
