# The files of `npm run image -- waypoint`, for those who have Docker. From the root of the repository:
#   docker build -f manifests/images/waypoint.Dockerfile --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .
FROM node:22-bookworm AS build
WORKDIR /src
COPY package.json package-lock.json tsconfig.base.json ./
COPY apps apps
COPY libs libs
COPY tools tools
RUN npm ci --ignore-scripts
ARG SOURCE_DATE_EPOCH=0
RUN node_modules/.bin/node tools/image.ts waypoint --rootfs --out /out && mv /out/*.rootfs /rootfs

FROM scratch
COPY --from=build /rootfs/ /
USER 65532:65532
ENV PATH=/usr/sbin:/usr/bin
EXPOSE 15008 15020 15021
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/node", "/app/main.mjs"]
