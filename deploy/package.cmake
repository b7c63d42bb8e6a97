# The Debian package: `cpack --config build/CPackConfig.cmake -B DIRECTORY`. What `cmake --install` leaves alone
# (units, configurations) is the component `debian`; libtunnel and its programs (`tunnel`) are not in the package.

find_program(GZIP gzip REQUIRED)

function(turbotls_compressed source destination component)
  get_filename_component(name ${source} NAME)
  set(compressed ${CMAKE_BINARY_DIR}/package/${name}.gz)
  add_custom_command(OUTPUT ${compressed}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/package
    COMMAND ${GZIP} -9nc ${source} > ${compressed}
    DEPENDS ${source} VERBATIM)
  set_property(GLOBAL APPEND PROPERTY turbotls_compressed ${compressed})
  if(component STREQUAL "debian")
    install(FILES ${compressed} DESTINATION ${destination} COMPONENT debian EXCLUDE_FROM_ALL)
  else()
    install(FILES ${compressed} DESTINATION ${destination} COMPONENT ${component})
  endif()
endfunction()

set(deploy ${PROJECT_SOURCE_DIR}/deploy)
set(documents share/doc/turbotls-proxy)
turbotls_compressed(${deploy}/man/turbotls-proxy.8 ${CMAKE_INSTALL_MANDIR}/man8 proxy)
turbotls_compressed(${deploy}/man/turbotls-proxy.txtpb.5 ${CMAKE_INSTALL_MANDIR}/man5 proxy)
turbotls_compressed(${deploy}/man/turbotls-client.1 ${CMAKE_INSTALL_MANDIR}/man1 tunnel)
turbotls_compressed(${deploy}/man/turbotls-server.1 ${CMAKE_INSTALL_MANDIR}/man1 tunnel)
install(DIRECTORY ${deploy}/examples ${deploy}/nftables DESTINATION ${documents} COMPONENT proxy)
install(DIRECTORY ${deploy}/scale DESTINATION ${documents} COMPONENT proxy USE_SOURCE_PERMISSIONS)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${documents} COMPONENT proxy FILES_MATCHING PATTERN "*.md")
install(FILES ${deploy}/systemd/turbotls-sidecar-intercept.conf DESTINATION ${documents}/systemd COMPONENT proxy)
install(FILES ${PROJECT_SOURCE_DIR}/proto/turbotls/v1/proxy.proto DESTINATION ${documents} COMPONENT proxy)

configure_file(${deploy}/debian/changelog.in ${CMAKE_BINARY_DIR}/changelog @ONLY)
turbotls_compressed(${CMAKE_BINARY_DIR}/changelog ${documents} debian)
install(FILES ${deploy}/debian/copyright DESTINATION ${documents} COMPONENT debian EXCLUDE_FROM_ALL)
file(GLOB units ${deploy}/systemd/*.service ${deploy}/systemd/*.socket)
install(FILES ${units} DESTINATION /lib/systemd/system COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${deploy}/examples/edge.txtpb ${deploy}/examples/sidecar.txtpb DESTINATION /etc/turbotls-proxy COMPONENT debian EXCLUDE_FROM_ALL)

get_property(compressed GLOBAL PROPERTY turbotls_compressed)
add_custom_target(package_files ALL DEPENDS ${compressed})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME turbotls-proxy)
set(CPACK_PACKAGE_VENDOR turbotls-proxy)
set(CPACK_PACKAGE_CONTACT "turbotls-proxy <turbotls-proxy@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "converts between classic TLS and TurboTLS without holding a key")
set(CPACK_PACKAGE_DESCRIPTION
"A TLS connection over TCP costs two round trips before the first byte.
TurboTLS sends the first TLS flights over UDP while TCP connects, and goes
on over TCP: one round trip less, TLS itself unchanged. This proxy converts
between the two, in front of unmodified servers (edge) or beside unmodified
clients (sidecar).")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL proxy debian)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS passwd)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${deploy}/debian/postinst ${deploy}/debian/prerm ${deploy}/debian/postrm ${deploy}/debian/conffiles)
include(CPack)
